package jwtauth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// departing is a store whose caller goes away in the middle of one verb: the work
// is done, and the answer lost where the verb looks at its context.
type departing struct {
	*jwtauth.MemoryStore
	verb  string
	leave context.CancelFunc
}

func (s *departing) left(ctx context.Context, verb string) error {
	if s.verb == verb {
		s.leave()
		return ctx.Err()
	}
	return nil
}

func (s *departing) CreateSession(ctx context.Context, x jwtauth.Session, l jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	evicted, err := s.MemoryStore.CreateSession(context.WithoutCancel(ctx), x, l)
	if err := s.left(ctx, "CreateSession"); err != nil {
		return nil, err
	}
	return evicted, err
}

func (s *departing) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	stored, err := s.MemoryStore.UpdateUser(context.WithoutCancel(ctx), u)
	if err := s.left(ctx, "UpdateUser"); err != nil {
		return jwtauth.User{}, err
	}
	return stored, err
}

func (s *departing) DeleteUser(ctx context.Context, id string) error {
	return errors.Join(s.MemoryStore.DeleteUser(context.WithoutCancel(ctx), id), s.left(ctx, "DeleteUser"))
}

func (s *departing) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.MemoryStore.Revoke(ctx, r)
}

// A client that went away while a change was being written left it half done: the
// account was changed or gone, and its tokens lived on.
func TestChangeIsDoneAsAWholeAlthoughTheClientLeaves(t *testing.T) {
	for _, tc := range []struct {
		name, verb string
		do         func(ctx context.Context, a *jwtauth.Auth, id string) error
	}{
		{"roles", "UpdateUser", func(ctx context.Context, a *jwtauth.Auth, id string) error { return a.SetRoles(ctx, id, "editor") }},
		{"disabled", "UpdateUser", func(ctx context.Context, a *jwtauth.Auth, id string) error { return a.Disable(ctx, id) }},
		{"revoked", "UpdateUser", func(ctx context.Context, a *jwtauth.Auth, id string) error { return a.RevokeUser(ctx, id) }},
		{"password", "UpdateUser", func(ctx context.Context, a *jwtauth.Auth, id string) error {
			return a.ChangePassword(ctx, jwtauth.PasswordChange{UserID: id, Current: testPassword, New: "another long pass phrase"})
		}},
		{"deleted", "DeleteUser", func(ctx context.Context, a *jwtauth.Auth, id string) error { return a.DeleteUser(ctx, id) }},
		{"evicted", "CreateSession", func(ctx context.Context, a *jwtauth.Auth, _ string) error {
			_, err := a.Login(ctx, jwtauth.Credentials{Username: "alice", Password: testPassword})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := &departing{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.Store, cfg.Sessions.MaxPerUser, cfg.Sessions.EvictOldest = store, 1, true
			})
			g := register(t, a, "alice")
			ctx, leave := context.WithCancel(bg)
			store.verb, store.leave = tc.verb, leave
			err := tc.do(ctx, a, g.User.ID)
			store.verb = ""
			if _, accepted := a.Verify(bg, g.AccessToken); accepted == nil || err != nil {
				t.Errorf("%v; afterwards the token from before is refused with %v", err, accepted)
			}
		})
	}
}

// A client that has gone before anything began changes nothing.
func TestNothingBeginsForAClientThatHasLeft(t *testing.T) {
	a, _ := newAuth(t)
	g := register(t, a, "alice")
	ctx, leave := context.WithCancel(bg)
	leave()
	for name, err := range map[string]error{
		"delete": a.DeleteUser(ctx, g.User.ID), "disable": a.Disable(ctx, g.User.ID),
		"password": a.ChangePassword(ctx, jwtauth.PasswordChange{UserID: g.User.ID, Current: testPassword, New: "another long pass phrase"}),
	} {
		if !errors.Is(err, jwtauth.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Verify(bg, g.AccessToken); err != nil {
		t.Errorf("the token is refused: %v", err)
	}
}

// deafFeed never gets rid of what it is to publish.
type deafFeed struct{}

func (deafFeed) Publish(ctx context.Context, _ jwtauth.Revocation) error {
	<-ctx.Done()
	return ctx.Err()
}

func (deafFeed) Follow(ctx context.Context, live func(), _ func(jwtauth.Revocation)) error {
	live()
	<-ctx.Done()
	return ctx.Err()
}

// A feed that hung used to hold every log-out, for ever and half done.
func TestHangingFeedHoldsNoRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jwtauth.NewMemoryStore()
		v := startView(t, store, time.Minute, deafFeed{})
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Revocations = store, v })
		g := register(t, a, "alice")
		begun := time.Now()
		if err := a.RevokeUser(bg, g.User.ID); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := a.Session(bg, g.Session.ID); !errors.Is(err, jwtauth.ErrNotFound) {
			t.Errorf("the session: %v", err)
		}
	})
}

// rival purges the trail of a node between two of its steps.
type rival struct {
	*jwtauth.MemoryStore
	purge func()
}

func (s *rival) Follow(ctx context.Context, after int64, limit int) ([]jwtauth.AuditRecord, error) {
	if purge := s.purge; purge != nil {
		s.purge = nil
		purge()
	}
	return s.MemoryStore.Follow(ctx, after, limit)
}

// Two nodes that purged at once raised the alarm that the trail was broken.
func TestTwoNodesThatPurgeAreNoBreach(t *testing.T) {
	mem, logs := jwtauth.NewMemoryStore(), new(bytes.Buffer)
	store := &rival{MemoryStore: mem}
	node := func(s jwtauth.Store) func(*jwtauth.Config) {
		return func(cfg *jwtauth.Config) {
			cfg.Store, cfg.Audit.Retention, cfg.Logger = s, 24*time.Hour, slog.New(slog.NewTextHandler(logs, nil))
		}
	}
	one, clock := newAuth(t, node(store))
	two, other := newAuth(t, node(mem))
	records := func(n int) {
		for range n {
			if err := one.AdoptTrail(bg); err != nil {
				t.Fatal(err)
			}
		}
	}
	records(10)
	clock.Add(36 * time.Hour)
	records(10)
	clock.Add(60 * time.Hour) // to one node all 20 are too old,
	other.Add(48 * time.Hour) // to the other one the first 10
	records(1)
	store.purge = func() {
		if err := two.Close(bg); err != nil {
			t.Error(err)
		}
	}
	if err := one.Close(bg); err != nil {
		t.Fatal(err)
	}
	if store.purge != nil {
		t.Fatal("the other node has not purged")
	}
	if report, err := one.VerifyTrail(bg); err != nil || report.First == 1 {
		t.Errorf("the trail: %+v, %v", report, err)
	}
	if strings.Contains(logs.String(), "broken") {
		t.Errorf("a false alarm:\n%s", logs)
	}
}

// closable is a store that can be closed, and counts who still asks.
type closable struct {
	*jwtauth.MemoryStore
	closed atomic.Bool
	asked  atomic.Int64
}

func (s *closable) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	if s.closed.Load() {
		s.asked.Add(1)
		return anchor, head, errors.New("closed")
	}
	return s.MemoryStore.AuditMarks(ctx)
}

// What was planned before Close went on afterwards, and tried again for ever.
func TestNothingIsSealedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &closable{MemoryStore: jwtauth.NewMemoryStore()}
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
		register(t, a, "alice")
		if err := a.Close(bg); err != nil {
			t.Fatal(err)
		}
		store.closed.Store(true)
		time.Sleep(time.Hour)
		if n := store.asked.Load(); n > 0 {
			t.Errorf("asked %d times", n)
		}
		store.closed.Store(false)
		login(t, a, "alice") // the Auth goes on working
		time.Sleep(time.Minute)
		if n := len(must(store.MemoryStore.Unsealed(bg, 10))(t)); n > 0 {
			t.Errorf("%d records without a seal", n)
		}
	})
}
