package jwtauth

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
	intern "unique"
)

// memorySessions is the [SessionStore] of a [MemoryStore]. There may be
// millions of sessions, each read once an hour, so they are kept packed: a
// session of usual size takes some 130 bytes in all.
type memorySessions struct {
	mu    sync.RWMutex
	clock *lastSeen
	seed  maphash.Seed
	// rows are named by their place, from 1 on. They are kept in blocks, so
	// that growing moves none.
	blocks [][]sessionRow
	unused uint32 // the first of those that are free, a list by next
	byID   placeIndex
	byUser placeIndex // the first of the user's list
	queue  []uint32   // a heap, the next one to leave first
}

const rowsPerBlock = 1024

// sessionRow is in the list of its user, so that ending it does not depend on
// how many there are.
type sessionRow struct {
	packed     string // what packSession made; "" in a free row
	agent      intern.Handle[string]
	next, prev uint32 // 0: none
	until      uint32 // Unix seconds, see leavesAt
	at         uint32 // the place in the queue
}

func newMemorySessions(clock *lastSeen) memorySessions {
	return memorySessions{clock: clock, seed: maphash.MakeSeed()}
}

func (m *memorySessions) hash(text string) uint32 { return uint32(maphash.String(m.seed, text)) }

func (m *memorySessions) row(place uint32) *sessionRow {
	place--
	return &m.blocks[place/rowsPerBlock][place%rowsPerBlock]
}

// session unpacks a row.
func (m *memorySessions) session(place uint32) Session {
	r := m.row(place)
	s := unpackSession(r.packed)
	s.UserAgent = r.agent.Value()
	return s
}

// find returns the session with that id and its place, 0 if there is none.
func (m *memorySessions) find(id string) (s Session, place uint32) {
	slot := m.byID.find(m.hash(id), func(place uint32) bool {
		s = m.session(place)
		return s.ID == id
	})
	if slot == nil {
		return Session{}, 0
	}
	return s, slot.place
}

// first returns the slot of the first session of a user, or nil.
func (m *memorySessions) first(userID string) *indexSlot {
	return m.byUser.find(m.hash(userID), func(place uint32) bool { return m.session(place).UserID == userID })
}

// ofUser returns the places of a user's sessions.
func (m *memorySessions) ofUser(userID string) (places []uint32) {
	slot := m.first(userID)
	if slot == nil {
		return nil
	}
	for place := slot.place; place != 0; place = m.row(place).next {
		places = append(places, place)
	}
	return places
}

// CreateSession implements [SessionStore]. If there is a session with that id
// it returns [ErrConflict] and changes nothing.
func (m *memorySessions) CreateSession(ctx context.Context, s Session, limit SessionLimit) ([]Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.see(s.Created)
	m.sweep()
	if _, taken := m.find(s.ID); taken != 0 {
		return nil, ErrConflict
	}
	evicted, err := m.surplus(s, limit)
	if err != nil {
		return nil, err
	}
	for _, old := range evicted {
		_, place := m.find(old.ID)
		m.remove(place)
	}
	m.add(s)
	return evicted, nil
}

// surplus returns the sessions that have to make way for s. One that expired
// takes no place: it would lock the user out of a device that is not in use.
func (m *memorySessions) surplus(s Session, limit SessionLimit) ([]Session, error) {
	if limit.Max <= 0 {
		return nil, nil
	}
	live := m.live(s.UserID, s.Created)
	over := len(live) + 1 - limit.Max
	switch {
	case over <= 0:
		return nil, nil
	case !limit.EvictOldest:
		return nil, ErrTooManySessions
	}
	return slices.Clone(live[len(live)-over:]), nil
}

// live returns the user's sessions that have not expired, the latest login
// first.
func (m *memorySessions) live(userID string, now time.Time) []Session {
	var list []Session
	for _, place := range m.ofUser(userID) {
		if s := m.session(place); s.Expires.After(now) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, latestFirst)
	return list
}

func latestFirst(a, b Session) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
}

func (m *memorySessions) add(s Session) {
	place, first := m.free(), m.first(s.UserID)
	r := m.row(place)
	*r = sessionRow{packed: packSession(s), agent: intern.Make(s.UserAgent),
		until: uint32(min(max(leavesAt(s.Expires), 0), math.MaxUint32))}
	if first == nil {
		m.byUser.add(m.hash(s.UserID), place)
	} else {
		r.next = first.place
		m.row(r.next).prev = place
		first.place = place
	}
	m.byID.add(m.hash(s.ID), place)
	heap.Push(sessionQueue{m}, place)
}

// free takes a row that is not in use.
func (m *memorySessions) free() uint32 {
	if m.unused == 0 {
		base := uint32(len(m.blocks) * rowsPerBlock)
		m.blocks = append(m.blocks, make([]sessionRow, rowsPerBlock))
		for i := range uint32(rowsPerBlock) {
			m.row(base + i + 1).next = m.unused
			m.unused = base + i + 1
		}
	}
	place := m.unused
	m.unused = m.row(place).next
	return place
}

func (m *memorySessions) remove(place uint32) {
	r, s := m.row(place), m.session(place)
	if r.next != 0 {
		m.row(r.next).prev = r.prev
	}
	switch {
	case r.prev != 0:
		m.row(r.prev).next = r.next
	case r.next != 0:
		m.first(s.UserID).place = r.next
	default:
		m.byUser.remove(m.hash(s.UserID), place)
	}
	m.byID.remove(m.hash(s.ID), place)
	heap.Remove(sessionQueue{m}, int(r.at))
	*r = sessionRow{next: m.unused}
	m.unused = place
}

func (m *memorySessions) sweep() {
	for range sweepStep {
		if len(m.queue) == 0 || int64(m.row(m.queue[0]).until) > m.clock.past() {
			return
		}
		m.remove(m.queue[0])
	}
}

// Session implements [SessionStore].
func (m *memorySessions) Session(ctx context.Context, id string) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, place := m.find(id)
	if place == 0 {
		return Session{}, ErrNotFound
	}
	return s, nil
}

// AdvanceSession implements [SessionStore].
func (m *memorySessions) AdvanceSession(ctx context.Context, adv SessionAdvance) (Session, bool, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.see(adv.Now)
	s, place := m.find(adv.SessionID)
	if place == 0 {
		return Session{}, false, ErrNotFound
	}
	if s.Generation != adv.From || !s.Expires.After(adv.Now) || !s.Moved.After(adv.MovedAfter) && !adv.MovedAfter.IsZero() {
		return s, false, nil
	}
	s.Generation++
	s.Moved, s.SecretID = adv.Now, adv.SecretID
	m.row(place).packed = packSession(s)
	return s, true, nil
}

// EndSession implements [SessionStore].
func (m *memorySessions) EndSession(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, place := m.find(id)
	if place == 0 {
		return ErrNotFound
	}
	m.remove(place)
	return nil
}

// EndSessions implements [SessionStore].
func (m *memorySessions) EndSessions(ctx context.Context, userID, except string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []string
	for _, place := range m.ofUser(userID) {
		if id := m.session(place).ID; id != except {
			ended = append(ended, id)
			m.remove(place)
		}
	}
	return ended, nil
}

// Sessions implements [SessionStore].
func (m *memorySessions) Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.live(userID, now), nil
}

// ListSessions implements [SessionLister]. It looks at every session there is.
func (m *memorySessions) ListSessions(ctx context.Context, q SessionQuery) ([]Session, int, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	limit := cmp.Or(q.Limit, 100)
	if limit < 1 || limit > 1000 || q.Offset < 0 {
		return nil, 0, ErrInvalidInput
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []Session
	for _, place := range m.queue {
		if s := m.session(place); q.Matches(s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, latestFirst)
	rest := list[min(q.Offset, len(list)):]
	return slices.Clone(rest[:min(limit, len(rest))]), len(list), nil
}

// sessionQueue implements [heap.Interface].
type sessionQueue struct{ *memorySessions }

func (q sessionQueue) Len() int           { return len(q.queue) }
func (q sessionQueue) Less(i, j int) bool { return q.row(q.queue[i]).until < q.row(q.queue[j]).until }

func (q sessionQueue) Swap(i, j int) {
	q.queue[i], q.queue[j] = q.queue[j], q.queue[i]
	q.row(q.queue[i]).at, q.row(q.queue[j]).at = uint32(i), uint32(j)
}

// Push adds a row at the end.
func (q sessionQueue) Push(x any) {
	place := x.(uint32)
	q.row(place).at = uint32(len(q.queue))
	q.queue = append(q.queue, place)
}

// Pop removes the row at the end.
func (q sessionQueue) Pop() any {
	last := len(q.queue) - 1
	place := q.queue[last]
	q.queue = q.queue[:last]
	return place
}

// packSession writes a session, without its user agent, as a text: ids and
// addresses in binary where they are spelled as usual, numbers and times as
// variable integers, the later times as what they differ from the first by.
func packSession(s Session) string {
	b := make([]byte, 0, 128)
	for _, text := range []string{s.ID, s.UserID, s.SecretID, s.Address, s.DeviceID} {
		b = packText(b, text)
	}
	b = binary.AppendVarint(b, s.CredentialVersion)
	b = binary.AppendVarint(b, s.Generation)
	b = packTime(b, s.Created, time.Unix(0, 0))
	b = packTime(b, s.Moved, s.Created)
	return string(packTime(b, s.Expires, s.Created))
}

// unpackSession is the reverse. Times come back in UTC.
func unpackSession(packed string) Session {
	p := unpacker{packed}
	var s Session
	for _, text := range []*string{&s.ID, &s.UserID, &s.SecretID, &s.Address, &s.DeviceID} {
		*text = p.text()
	}
	s.CredentialVersion, s.Generation = p.int(), p.int()
	s.Created = p.time(time.Unix(0, 0))
	s.Moved, s.Expires = p.time(s.Created), p.time(s.Created)
	return s
}

// The forms of a packed text.
const (
	packedPlain = iota
	packedBase64
	packedAddress
	packedForms
)

// packText writes a length, a form and the text in it. A form is used only where
// it gives back the very same text.
func packText(b []byte, text string) []byte {
	data, form := []byte(text), packedPlain
	if raw, err := strictBase64.DecodeString(text); err == nil && len(raw) >= 12 && base64.RawURLEncoding.EncodeToString(raw) == text {
		data, form = raw, packedBase64
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" && ip.String() == text {
		data, form = ip.AsSlice(), packedAddress
	}
	b = binary.AppendUvarint(b, uint64(len(data)*packedForms+form))
	return append(b, data...)
}

// packTime writes t as seconds and nanoseconds after another time. Differences
// wrap around, so any time comes back as it was.
func packTime(b []byte, t, after time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix()-after.Unix())
	return binary.AppendVarint(b, int64(t.Nanosecond()-after.Nanosecond()))
}

// unpacker reads what the functions above have written.
type unpacker struct{ rest string }

func (p *unpacker) text() string {
	head := p.uint()
	n := head / packedForms
	data := p.rest[:n]
	p.rest = p.rest[n:]
	switch head % packedForms {
	case packedBase64:
		return strictBase64.EncodeToString([]byte(data))
	case packedAddress:
		ip, _ := netip.AddrFromSlice([]byte(data))
		return ip.String()
	}
	return data
}

func (p *unpacker) uint() (n uint64) {
	for shift := 0; ; shift += 7 {
		c := p.rest[0]
		p.rest = p.rest[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

// int undoes the zigzag of [binary.AppendVarint].
func (p *unpacker) int() int64 {
	n := p.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *unpacker) time(after time.Time) time.Time {
	seconds, nanos := p.int(), p.int()
	return time.Unix(after.Unix()+seconds, int64(after.Nanosecond())+nanos).UTC()
}
