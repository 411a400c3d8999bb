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
	append         func(context.Context, jwtauth.Event) error
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

func (b *broken) Append(ctx context.Context, e jwtauth.Event) error {
	return or(b.append, b.MemoryStore.Append)(ctx, e)
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
	b.append = func(context.Context, jwtauth.Event) error { return errClosed }
}
