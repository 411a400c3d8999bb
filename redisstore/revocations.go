package redisstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
)

// revokedKind is the letter of a kind of entry.
type revokedKind string

const (
	revokedToken   revokedKind = "t"
	revokedSession revokedKind = "s"
	revokedUser    revokedKind = "u"
)

var (
	revokeToken   = newScript("revoke_token")
	revokeSession = newScript("revoke_session")
	revokeUser    = newScript("revoke_user")
)

// maxMarks bounds what a client that refreshes without end makes Redis keep.
const maxMarks = 64

// Revoke implements [jwtauth.RevocationStore] with one command for each part,
// which also tells the nodes that follow [Store.Feed]. The parts are on slots of
// their own: a fault in between leaves those before it revoked. A Revocation that
// names nothing, or has no end, is an error: it would let pass what the caller
// believes to be revoked, or stay for ever.
func (s *Store) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.TokenID == "" && r.SessionID == "" && r.UserID == "" {
		return fault("Revoke", errors.New("revocation names nothing"))
	}
	if r.Expires.IsZero() {
		return fault("Revoke", errors.New("revocation has no end"))
	}
	var err error
	if r.TokenID != "" {
		err = s.revoke(ctx, revokeToken, revokedToken, r.TokenID, r)
	}
	if r.SessionID != "" && err == nil {
		err = s.revoke(ctx, revokeSession, revokedSession, r.SessionID, r, number(r.Generation), stamp(r.From), maxMarks)
	}
	if r.UserID != "" && err == nil {
		err = s.revoke(ctx, revokeUser, revokedUser, r.UserID, r, number(r.Version))
	}
	return fault("Revoke", err)
}

func (s *Store) revoke(ctx context.Context, sc script, kind revokedKind, id string, r jwtauth.Revocation, more ...any) error {
	message, err := encodeNotice(kind, r)
	if err != nil {
		return err
	}
	// Rounded up: an entry is never shorter than it was asked to be.
	args := append([]any{r.Expires.UnixMilli() + 1, clockMargin.Milliseconds(), s.channel(), message}, more...)
	return s.run(ctx, sc, []string{s.revokedKey(kind, id)}, args...).Err()
}

// Revoked implements [jwtauth.RevocationStore] with one round trip: up to three
// reads, sent together. In a Cluster they go to up to three nodes at once. Each
// sees every Revoke that has returned, since reads go to masters alone. An entry
// that is still there counts, expired or not: then so have the tokens.
func (s *Store) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if err := ctx.Err(); err != nil {
		return true, err
	}
	var token, session, user *redis.StringCmd
	pipe := s.client.Pipeline()
	if ref.TokenID != "" {
		token = pipe.Get(ctx, s.revokedKey(revokedToken, ref.TokenID))
	}
	if ref.SessionID != "" {
		session = pipe.Get(ctx, s.revokedKey(revokedSession, ref.SessionID))
	}
	if ref.UserID != "" {
		user = pipe.Get(ctx, s.revokedKey(revokedUser, ref.UserID))
	}
	if pipe.Len() == 0 {
		return false, nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return true, fault("Revoked", err)
	}
	return anyRevokes(ref, token, session, user)
}

func anyRevokes(ref jwtauth.TokenRef, token, session, user *redis.StringCmd) (bool, error) {
	for _, part := range []struct {
		cmd     *redis.StringCmd
		refuses func(entry string) (bool, error)
	}{
		{token, func(string) (bool, error) { return true, nil }},
		{user, func(entry string) (bool, error) {
			below, err := parseNumber(entry)
			return ref.Version < below, err
		}},
		{session, func(entry string) (bool, error) { return marksRefuse(entry, ref) }},
	} {
		if part.cmd == nil {
			continue
		}
		entry, err := part.cmd.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		revoked := true
		if err == nil {
			revoked, err = part.refuses(entry)
		}
		if err != nil {
			return true, fault("Revoked", err)
		}
		if revoked {
			return true, nil
		}
	}
	return false, nil
}

// marksRefuse reads the marks of a session, see revoke_session.lua.
func marksRefuse(entry string, ref jwtauth.TokenRef) (bool, error) {
	d := decoder{rest: entry}
	for d.rest != "" && !d.bad {
		below, from := d.number(), d.stamp()
		if !d.bad && ref.Generation < below && !from.After(ref.Now) {
			return true, nil
		}
	}
	if d.bad {
		return true, errCorrupt
	}
	return false, nil
}

// notice is a message of the channel: one part of a Revocation.
type notice struct {
	Token   string `json:"t,omitempty"`
	Session string `json:"s,omitempty"`
	User    string `json:"u,omitempty"`
	From    string `json:"from,omitempty"` // a stamp
}

func encodeNotice(kind revokedKind, r jwtauth.Revocation) (string, error) {
	var n notice
	switch kind {
	case revokedToken:
		n.Token = r.TokenID
	case revokedSession:
		n.Session, n.From = r.SessionID, stamp(r.From)
	case revokedUser:
		n.User = r.UserID
	}
	text, err := json.Marshal(n)
	return string(text), err
}

// decodeNotice returns whom a message is about; its numbers are not told.
func decodeNotice(text string) (jwtauth.Revocation, error) {
	var n notice
	if err := json.Unmarshal([]byte(text), &n); err != nil || n.Token+n.Session+n.User == "" {
		return jwtauth.Revocation{}, errCorrupt
	}
	r := jwtauth.Revocation{TokenID: n.Token, SessionID: n.Session, UserID: n.User}
	if n.From != "" {
		from, err := parseStamp(n.From)
		if err != nil {
			return jwtauth.Revocation{}, err
		}
		r.From = from
	}
	return r, nil
}
