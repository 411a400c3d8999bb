package redisstore

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
)

var (
	createSession  = newScript("create_session")
	advanceSession = newScript("advance_session")
	endSession     = newScript("end_session")
	endSessions    = newScript("end_sessions")
)

// CreateSession implements [jwtauth.SessionStore] with two commands: the owner of
// the id, then the session under its limit. A session that is refused, and one
// that makes way, costs a third, which only frees memory.
func (s *Store) CreateSession(ctx context.Context, row jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, err := encodeRow(row)
	if err != nil {
		return nil, fault("CreateSession", err)
	}
	keep := keepFor(row.Expires.Sub(row.Created))
	// The id is reserved for as long as the session may live. Should nothing
	// come of it, it leads nowhere.
	free, err := s.client.SetNX(ctx, s.ownerKey(row.ID), row.UserID, keep).Result()
	if err != nil {
		return nil, fault("CreateSession", err)
	}
	if !free {
		return nil, jwtauth.ErrConflict
	}
	evict := "0"
	if limit.EvictOldest {
		evict = "1"
	}
	reply, err := s.run(ctx, createSession, s.userKeys(row.UserID),
		row.ID, text, row.Expires.Unix(), stamp(row.Created), row.Created.Add(-margin).Unix(),
		max(limit.Max, 0), evict, keep.Milliseconds()).StringSlice()
	if err != nil {
		return nil, fault("CreateSession", err)
	}
	return s.created(ctx, row, reply)
}

// created reads what the script did.
func (s *Store) created(ctx context.Context, row jwtauth.Session, reply []string) ([]jwtauth.Session, error) {
	if len(reply)%2 != 1 {
		return nil, fault("CreateSession", errCorrupt)
	}
	switch reply[0] {
	case "taken":
		return nil, jwtauth.ErrConflict
	case "full":
		s.forgetOwners(ctx, row.ID)
		return nil, jwtauth.ErrTooManySessions
	}
	s.owners.put(row.ID, row.UserID)
	var evicted []jwtauth.Session
	var ids []string
	for pair := range slices.Chunk(reply[1:], 2) {
		old, err := decodeRow(pair[0], row.UserID, pair[1])
		if err != nil {
			return nil, fault("CreateSession", err)
		}
		evicted, ids = append(evicted, old), append(ids, old.ID)
	}
	s.forgetOwners(ctx, ids...)
	return evicted, nil
}

// forgetOwners frees the memory of ids that are over. Without it they stay until
// their time to live ends, and mean nothing: so it may fail, and does not wait
// for a caller who has gone.
func (s *Store) forgetOwners(ctx context.Context, ids ...string) {
	if len(ids) == 0 {
		return
	}
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Del(ctx, s.ownerKey(id))
		}
		return nil
	})
}

// Session implements [jwtauth.SessionStore] with one command, or two where this
// node has not seen the session lately.
func (s *Store) Session(ctx context.Context, id string) (jwtauth.Session, error) {
	var row jwtauth.Session
	err := s.ofOwner(ctx, "Session", id, func(userID string) error {
		text, err := s.client.HGet(ctx, s.userKeys(userID)[0], id).Result()
		if err != nil {
			return err
		}
		row, err = decodeRow(id, userID, text)
		return err
	})
	return row, err
}

// AdvanceSession implements [jwtauth.SessionStore] with one command, or two as
// Session does.
func (s *Store) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (row jwtauth.Session, moved bool, err error) {
	if len(adv.SecretID) > maxField {
		return row, false, fault("AdvanceSession", errors.New("secret id is too long"))
	}
	after := ""
	if !adv.MovedAfter.IsZero() {
		after = stamp(adv.MovedAfter)
	}
	err = s.ofOwner(ctx, "AdvanceSession", adv.SessionID, func(userID string) error {
		reply, err := s.run(ctx, advanceSession, s.userKeys(userID)[:1],
			adv.SessionID, number(adv.From), number(adv.From+1), stamp(adv.Now), after, field(adv.SecretID)).Slice()
		if err != nil {
			return err
		}
		did, text, err := flagAndText(reply)
		if err != nil {
			return err
		}
		row, err = decodeRow(adv.SessionID, userID, text)
		moved = did && err == nil
		return err
	})
	return row, moved, err
}

// flagAndText reads a reply of two.
func flagAndText(reply []any) (bool, string, error) {
	if len(reply) != 2 {
		return false, "", errCorrupt
	}
	flag, isFlag := reply[0].(int64)
	text, isText := reply[1].(string)
	if !isFlag || !isText {
		return false, "", errCorrupt
	}
	return flag == 1, text, nil
}

// EndSession implements [jwtauth.SessionStore] with one command, or two as
// Session does, and one that frees memory.
func (s *Store) EndSession(ctx context.Context, id string) error {
	err := s.ofOwner(ctx, "EndSession", id, func(userID string) error {
		n, err := s.run(ctx, endSession, s.userKeys(userID), id).Int()
		if err == nil && n == 0 {
			err = redis.Nil
		}
		return err
	})
	if err == nil {
		s.forgetOwners(ctx, id)
	}
	return err
}

// EndSessions implements [jwtauth.SessionStore] with one command, and one that
// frees memory.
func (s *Store) EndSessions(ctx context.Context, userID, except string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended, err := s.run(ctx, endSessions, s.userKeys(userID), except).StringSlice()
	if err != nil {
		return nil, fault("EndSessions", err)
	}
	for part := range slices.Chunk(ended, 1000) {
		s.forgetOwners(ctx, part...)
	}
	return ended, nil
}

// Sessions implements [jwtauth.SessionStore] with one command.
func (s *Store) Sessions(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := s.client.HGetAll(ctx, s.userKeys(userID)[0]).Result()
	if err != nil {
		return nil, fault("Sessions", err)
	}
	var list []jwtauth.Session
	for id, text := range rows {
		row, err := decodeRow(id, userID, text)
		if err != nil {
			return nil, fault("Sessions", err)
		}
		if row.Expires.After(now) {
			list = append(list, row)
		}
	}
	slices.SortFunc(list, func(a, b jwtauth.Session) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// ofOwner calls do with the user of a session. do returns [redis.Nil] where that
// user has no such session.
func (s *Store) ofOwner(ctx context.Context, verb, id string, do func(userID string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	hint, hinted := s.owners.get(id)
	if hinted {
		if err := do(hint); !errors.Is(err, redis.Nil) {
			return ownerFault(verb, err)
		}
	}
	userID, err := s.client.Get(ctx, s.ownerKey(id)).Result()
	switch {
	case err == nil && hinted && userID == hint:
		return jwtauth.ErrNotFound
	case err == nil:
		err = do(userID)
	}
	if err == nil {
		s.owners.put(id, userID)
	}
	return ownerFault(verb, err)
}

func ownerFault(verb string, err error) error {
	if errors.Is(err, redis.Nil) {
		return jwtauth.ErrNotFound
	}
	return fault(verb, err)
}

// ownerHints remembers whose session an id is, to save a command. An id never
// changes its user, and the rows of that user decide: a hint that is wrong, or
// old, finds nothing there. It holds the ids that were used last, one for each
// place, and has no lock.
type ownerHints struct {
	places [4096]atomic.Pointer[ownerHint]
}

type ownerHint struct{ id, userID string }

var hintSeed = maphash.MakeSeed()

func (h *ownerHints) place(id string) *atomic.Pointer[ownerHint] {
	return &h.places[maphash.String(hintSeed, id)%uint64(len(h.places))]
}

func (h *ownerHints) get(id string) (userID string, ok bool) {
	hint := h.place(id).Load()
	if hint == nil || hint.id != id {
		return "", false
	}
	return hint.userID, true
}

func (h *ownerHints) put(id, userID string) {
	if len(id)+len(userID) <= 256 {
		h.place(id).Store(&ownerHint{id, userID})
	}
}
