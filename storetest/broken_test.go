package storetest_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// broken is a MemoryStore with some of its verbs replaced by wrong ones.
type broken struct {
	*jwtauth.MemoryStore

	createUser     func(context.Context, jwtauth.User) (jwtauth.User, error)
	userByID       func(context.Context, string) (jwtauth.User, error)
	userByLogin    func(context.Context, string) (jwtauth.User, error)
	updateUser     func(context.Context, jwtauth.User) (jwtauth.User, error)
	deleteUser     func(context.Context, string) error
	listUsers      func(context.Context, jwtauth.UserQuery) ([]jwtauth.User, error)
	createSession  func(context.Context, jwtauth.Session, jwtauth.SessionLimit) ([]jwtauth.Session, error)
	session        func(context.Context, string) (jwtauth.Session, error)
	advanceSession func(context.Context, jwtauth.SessionAdvance) (jwtauth.Session, bool, error)
	endSession     func(context.Context, string) error
	endSessions    func(context.Context, string, string) ([]string, error)
	sessions       func(context.Context, string, time.Time) ([]jwtauth.Session, error)
	listSessions   func(context.Context, jwtauth.SessionQuery) ([]jwtauth.Session, int, error)
	revoke         func(context.Context, jwtauth.Revocation) error
	revoked        func(context.Context, jwtauth.TokenRef) (bool, error)
	putCode        func(context.Context, jwtauth.OneTimeCode) error
	consumeCode    func(context.Context, string, []byte, time.Time) (jwtauth.OneTimeCode, error)
	claimOnce      func(context.Context, string, time.Time, time.Time) (bool, error)
	hit            func(context.Context, string, int, time.Duration, time.Time) (jwtauth.Count, error)
	refund         func(context.Context, string, time.Time) error
	reset          func(context.Context, string) error
	append         func(context.Context, jwtauth.AuditRecord) error
	query          func(context.Context, jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error)
	follow         func(context.Context, int64, int) ([]jwtauth.AuditRecord, error)
	auditMarks     func(context.Context) (jwtauth.AuditMark, jwtauth.AuditMark, error)
	unsealed       func(context.Context, int) ([]jwtauth.AuditRecord, error)
	seal           func(context.Context, jwtauth.AuditMark, []jwtauth.AuditSeal, jwtauth.AuditMark) error
	purgeAudit     func(context.Context, jwtauth.AuditMark) error
	auditKey       func(context.Context, string, jwtauth.AuditKey) (jwtauth.AuditKey, error)
	eraseAuditKey  func(context.Context, string) error
	holdCursor     func(context.Context, string, string, int64, time.Time, time.Time) (jwtauth.Cursor, error)
	moveCursor     func(context.Context, string, string, int64, time.Time) error
	releaseCursor  func(context.Context, string, string) error
	cursors        func(context.Context) ([]jwtauth.Cursor, error)
	putDeadLetter  func(context.Context, jwtauth.DeadLetter) error
	deadLetters    func(context.Context, string, int64, int) ([]jwtauth.DeadLetter, error)
	dropDeadLetter func(context.Context, string, int64) error
}

func (b *broken) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	return or(b.createUser, b.MemoryStore.CreateUser)(ctx, u)
}

func (b *broken) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	return or(b.userByID, b.MemoryStore.UserByID)(ctx, id)
}

func (b *broken) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	return or(b.userByLogin, b.MemoryStore.UserByLogin)(ctx, key)
}

func (b *broken) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	return or(b.updateUser, b.MemoryStore.UpdateUser)(ctx, u)
}

func (b *broken) DeleteUser(ctx context.Context, id string) error {
	return or(b.deleteUser, b.MemoryStore.DeleteUser)(ctx, id)
}

func (b *broken) ListUsers(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
	return or(b.listUsers, b.MemoryStore.ListUsers)(ctx, q)
}

func (b *broken) CreateSession(ctx context.Context, s jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	return or(b.createSession, b.MemoryStore.CreateSession)(ctx, s, limit)
}

func (b *broken) Session(ctx context.Context, id string) (jwtauth.Session, error) {
	return or(b.session, b.MemoryStore.Session)(ctx, id)
}

func (b *broken) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	return or(b.advanceSession, b.MemoryStore.AdvanceSession)(ctx, adv)
}

func (b *broken) EndSession(ctx context.Context, id string) error {
	return or(b.endSession, b.MemoryStore.EndSession)(ctx, id)
}

func (b *broken) EndSessions(ctx context.Context, userID, except string) ([]string, error) {
	return or(b.endSessions, b.MemoryStore.EndSessions)(ctx, userID, except)
}

func (b *broken) Sessions(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
	return or(b.sessions, b.MemoryStore.Sessions)(ctx, userID, now)
}

func (b *broken) ListSessions(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
	return or(b.listSessions, b.MemoryStore.ListSessions)(ctx, q)
}

func (b *broken) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	return or(b.revoke, b.MemoryStore.Revoke)(ctx, r)
}

func (b *broken) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	return or(b.revoked, b.MemoryStore.Revoked)(ctx, ref)
}

func (b *broken) PutCode(ctx context.Context, c jwtauth.OneTimeCode) error {
	return or(b.putCode, b.MemoryStore.PutCode)(ctx, c)
}

func (b *broken) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	return or(b.consumeCode, b.MemoryStore.ConsumeCode)(ctx, key, hash, now)
}

func (b *broken) ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error) {
	return or(b.claimOnce, b.MemoryStore.ClaimOnce)(ctx, key, now, until)
}

func (b *broken) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	return or(b.hit, b.MemoryStore.Hit)(ctx, key, limit, window, now)
}

func (b *broken) Refund(ctx context.Context, key string, now time.Time) error {
	return or(b.refund, b.MemoryStore.Refund)(ctx, key, now)
}

func (b *broken) Reset(ctx context.Context, key string) error {
	return or(b.reset, b.MemoryStore.Reset)(ctx, key)
}

func (b *broken) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	return or(b.append, b.MemoryStore.Append)(ctx, r)
}

func (b *broken) Query(ctx context.Context, q jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error) {
	return or(b.query, b.MemoryStore.Query)(ctx, q)
}

func (b *broken) Follow(ctx context.Context, after int64, limit int) ([]jwtauth.AuditRecord, error) {
	return or(b.follow, b.MemoryStore.Follow)(ctx, after, limit)
}

func (b *broken) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	return or(b.auditMarks, b.MemoryStore.AuditMarks)(ctx)
}

func (b *broken) Unsealed(ctx context.Context, limit int) ([]jwtauth.AuditRecord, error) {
	return or(b.unsealed, b.MemoryStore.Unsealed)(ctx, limit)
}

func (b *broken) Seal(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
	return or(b.seal, b.MemoryStore.Seal)(ctx, from, seals, head)
}

func (b *broken) PurgeAudit(ctx context.Context, anchor jwtauth.AuditMark) error {
	return or(b.purgeAudit, b.MemoryStore.PurgeAudit)(ctx, anchor)
}

func (b *broken) AuditKey(ctx context.Context, userID string, candidate jwtauth.AuditKey) (jwtauth.AuditKey, error) {
	return or(b.auditKey, b.MemoryStore.AuditKey)(ctx, userID, candidate)
}

func (b *broken) EraseAuditKey(ctx context.Context, userID string) error {
	return or(b.eraseAuditKey, b.MemoryStore.EraseAuditKey)(ctx, userID)
}

func (b *broken) HoldCursor(ctx context.Context, name, holder string, start int64, now, until time.Time) (jwtauth.Cursor, error) {
	return or(b.holdCursor, b.MemoryStore.HoldCursor)(ctx, name, holder, start, now, until)
}

func (b *broken) MoveCursor(ctx context.Context, name, holder string, to int64, now time.Time) error {
	return or(b.moveCursor, b.MemoryStore.MoveCursor)(ctx, name, holder, to, now)
}

func (b *broken) ReleaseCursor(ctx context.Context, name, holder string) error {
	return or(b.releaseCursor, b.MemoryStore.ReleaseCursor)(ctx, name, holder)
}

func (b *broken) Cursors(ctx context.Context) ([]jwtauth.Cursor, error) {
	return or(b.cursors, b.MemoryStore.Cursors)(ctx)
}

func (b *broken) PutDeadLetter(ctx context.Context, d jwtauth.DeadLetter) error {
	return or(b.putDeadLetter, b.MemoryStore.PutDeadLetter)(ctx, d)
}

func (b *broken) DeadLetters(ctx context.Context, cursor string, after int64, limit int) ([]jwtauth.DeadLetter, error) {
	return or(b.deadLetters, b.MemoryStore.DeadLetters)(ctx, cursor, after, limit)
}

func (b *broken) DropDeadLetter(ctx context.Context, cursor string, sequence int64) error {
	return or(b.dropDeadLetter, b.MemoryStore.DropDeadLetter)(ctx, cursor, sequence)
}

// or returns the wrong verb if there is one.
func or[F any](wrong, right F) F {
	if reflect.ValueOf(wrong).IsNil() {
		return right
	}
	return wrong
}

// gap is where check-then-act goes wrong: it lets the others run in between.
func gap() {
	for range 100 {
		runtime.Gosched()
	}
}

// cells is a map whose accesses are atomic one by one, like single statements
// without a transaction around them.
type cells[V any] struct {
	mu sync.Mutex
	m  map[string]V
}

func (c *cells[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	return v, ok
}

func (c *cells[V]) set(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]V)
	}
	c.m[key] = v
}

func (c *cells[V]) delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, key)
}

var errClosed = errors.New("database is closed")

// goDown makes every verb fail, as they do when the database is closed.
func (b *broken) goDown() {
	b.createUser = func(context.Context, jwtauth.User) (u jwtauth.User, _ error) { return u, errClosed }
	b.userByID = func(context.Context, string) (u jwtauth.User, _ error) { return u, errClosed }
	b.userByLogin = func(context.Context, string) (u jwtauth.User, _ error) { return u, errClosed }
	b.updateUser = func(context.Context, jwtauth.User) (u jwtauth.User, _ error) { return u, errClosed }
	b.deleteUser = func(context.Context, string) error { return errClosed }
	b.listUsers = func(context.Context, jwtauth.UserQuery) ([]jwtauth.User, error) { return nil, errClosed }
	b.createSession = func(context.Context, jwtauth.Session, jwtauth.SessionLimit) ([]jwtauth.Session, error) {
		return nil, errClosed
	}
	b.session = func(context.Context, string) (s jwtauth.Session, _ error) { return s, errClosed }
	b.advanceSession = func(context.Context, jwtauth.SessionAdvance) (s jwtauth.Session, _ bool, _ error) {
		return s, false, errClosed
	}
	b.endSession = func(context.Context, string) error { return errClosed }
	b.endSessions = func(context.Context, string, string) ([]string, error) { return nil, errClosed }
	b.sessions = func(context.Context, string, time.Time) ([]jwtauth.Session, error) { return nil, errClosed }
	b.listSessions = func(context.Context, jwtauth.SessionQuery) ([]jwtauth.Session, int, error) { return nil, 0, errClosed }
	b.revoke = func(context.Context, jwtauth.Revocation) error { return errClosed }
	b.revoked = func(context.Context, jwtauth.TokenRef) (bool, error) { return false, errClosed }
	b.putCode = func(context.Context, jwtauth.OneTimeCode) error { return errClosed }
	b.consumeCode = func(context.Context, string, []byte, time.Time) (c jwtauth.OneTimeCode, _ error) { return c, errClosed }
	b.claimOnce = func(context.Context, string, time.Time, time.Time) (bool, error) { return false, errClosed }
	b.hit = func(context.Context, string, int, time.Duration, time.Time) (c jwtauth.Count, _ error) {
		return c, errClosed
	}
	b.refund = func(context.Context, string, time.Time) error { return errClosed }
	b.reset = func(context.Context, string) error { return errClosed }
	b.append = func(context.Context, jwtauth.AuditRecord) error { return errClosed }
	b.query = func(context.Context, jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error) { return nil, errClosed }
	b.follow = func(context.Context, int64, int) ([]jwtauth.AuditRecord, error) { return nil, errClosed }
	b.auditMarks = func(context.Context) (a, h jwtauth.AuditMark, _ error) { return a, h, errClosed }
	b.unsealed = func(context.Context, int) ([]jwtauth.AuditRecord, error) { return nil, errClosed }
	b.seal = func(context.Context, jwtauth.AuditMark, []jwtauth.AuditSeal, jwtauth.AuditMark) error {
		return errClosed
	}
	b.purgeAudit = func(context.Context, jwtauth.AuditMark) error { return errClosed }
	b.auditKey = func(context.Context, string, jwtauth.AuditKey) (k jwtauth.AuditKey, _ error) { return k, errClosed }
	b.eraseAuditKey = func(context.Context, string) error { return errClosed }
	b.holdCursor = func(context.Context, string, string, int64, time.Time, time.Time) (c jwtauth.Cursor, _ error) {
		return c, errClosed
	}
	b.moveCursor = func(context.Context, string, string, int64, time.Time) error { return errClosed }
	b.releaseCursor = func(context.Context, string, string) error { return errClosed }
	b.cursors = func(context.Context) ([]jwtauth.Cursor, error) { return nil, errClosed }
	b.putDeadLetter = func(context.Context, jwtauth.DeadLetter) error { return errClosed }
	b.deadLetters = func(context.Context, string, int64, int) ([]jwtauth.DeadLetter, error) { return nil, errClosed }
	b.dropDeadLetter = func(context.Context, string, int64) error { return errClosed }
}
