package adminui_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
)

// gateAfter lets the first n logins pass.
func gateAfter(n int32, told func()) func(context.Context, jwtauth.User) error {
	var seen atomic.Int32
	return func(context.Context, jwtauth.User) error {
		if seen.Add(1) <= n {
			return nil
		}
		told()
		return jwtauth.Refuse("second_factor", "A second factor is needed.")
	}
}

// hugeTrail is a trail with 100,000 records, which it makes when they are asked
// for. It notes the limit of each question and how many rows it gave.
type hugeTrail struct {
	jwtauth.AuditStore
	like   jwtauth.AuditRecord
	asked  []int
	gave   int
	begins time.Time
}

const hugeRecords = 100_000

func (h *hugeTrail) id(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012x", n) }

func (h *hugeTrail) Query(_ context.Context, q jwtauth.AuditQuery) (page []jwtauth.AuditRecord, err error) {
	h.asked = append(h.asked, q.Limit)
	next := hugeRecords
	if q.Before != "" {
		n, err := strconv.ParseInt(q.Before[len(q.Before)-12:], 16, 64)
		if err != nil {
			return nil, err
		}
		next = int(n) - 1
	}
	for n := next; n > 0 && len(page) < q.Limit; n-- {
		r := h.like
		r.ID, r.Time = h.id(n), h.begins.Add(time.Duration(n)*time.Second)
		page = append(page, r)
	}
	h.gave += len(page)
	return page, nil
}

// manySessions counts what it is asked for.
type manySessions struct {
	*jwtauth.MemoryStore
	listed []int // limits
	whole  int   // questions for all sessions of a user
	users  []int // limits
	reads  int
}

func (m *manySessions) ListSessions(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
	m.listed = append(m.listed, q.Limit)
	return m.MemoryStore.ListSessions(ctx, q)
}

func (m *manySessions) Sessions(ctx context.Context, userID string, now time.Time) ([]jwtauth.Session, error) {
	m.whole++
	return m.MemoryStore.Sessions(ctx, userID, now)
}

func (m *manySessions) ListUsers(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
	m.users = append(m.users, q.Limit)
	return m.MemoryStore.ListUsers(ctx, q)
}

func (m *manySessions) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	m.reads++
	return m.MemoryStore.UserByID(ctx, id)
}

func TestAPageOfAHugeTrailReadsOnePage(t *testing.T) {
	h := &hugeTrail{}
	store := &manySessions{MemoryStore: jwtauth.NewMemoryStore()}
	d := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) {
		h.AuditStore, cfg.Store, cfg.Audit.Store = store.MemoryStore, store, h
	})
	records, err := store.MemoryStore.Query(t.Context(), jwtauth.AuditQuery{Limit: 1})
	if err != nil || len(records) == 0 {
		t.Fatalf("no record: %v", err)
	}
	h.like, h.begins = records[0], d.Clock.Now()
	at := "/activity"
	for range 5 {
		h.asked, h.gave, store.reads = nil, 0, 0
		p := d.get(t, at)
		if len(h.asked) != 1 || h.asked[0] != 51 || h.gave != 51 || len(p.rows("data-event")) != 50 {
			t.Fatalf("%s asked for %v and got %d records", at, h.asked, h.gave)
		}
		if store.reads > 5 {
			t.Fatalf("%s read %d accounts", at, store.reads)
		}
		at = resolve(t, at, p.link("older"))
	}
	p := d.get(t, "/activity?before="+h.id(20))
	if len(p.rows("data-event")) != 19 || p.link("older") != "" || p.link("newest") == "" {
		t.Errorf("the last page has %d events", len(p.rows("data-event")))
	}
}

func TestManyUsersAndSessionsArePaged(t *testing.T) {
	const n = 10_000
	store := &manySessions{MemoryStore: jwtauth.NewMemoryStore()}
	d := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) { cfg.Store = store })
	now := d.Clock.Now()
	for i := range n {
		id := strconv.Itoa(i + 2)
		u := jwtauth.User{Login: "user" + id, LoginKey: "user" + id, Roles: []string{"subscriber"}, Created: now}
		if _, err := store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		s := jwtauth.Session{ID: fmt.Sprintf("session-%05d", i), UserID: "2", CredentialVersion: 1, Generation: 1,
			Created: now.Add(time.Duration(-i) * time.Second), Moved: now, Expires: now.Add(time.Hour)}
		if _, err := store.CreateSession(t.Context(), s, jwtauth.SessionLimit{}); err != nil {
			t.Fatal(err)
		}
	}
	store.whole, store.listed, store.users = 0, nil, nil

	p := d.get(t, "/user?id=2").has(t, "1 to 50 of 10000")
	at := resolve(t, "/user?id=2", p.link("older"))
	p = d.get(t, at).has(t, "51 to 100 of 10000")
	if rows := p.rows("data-session"); len(rows) != 50 || rows[0] != "session-00050" {
		t.Errorf("the second page has %d sessions from %q on", len(rows), rows[0])
	}
	d.get(t, "/user?id=2&offset=99999").has(t, "No session is live on this page")
	if store.whole != 0 || len(store.listed) != 3 || store.listed[0] != 50 {
		t.Errorf("asked for all sessions %d times, for pages of %v", store.whole, store.listed)
	}

	p = d.get(t, "/users")
	at = resolve(t, "/users", p.link("next"))
	if rows := d.get(t, at).rows("data-user"); len(rows) != 50 || rows[0] != "51" {
		t.Errorf("the second page of users has %v", rows)
	}
	if len(store.users) != 2 || store.users[0] != 51 {
		t.Errorf("asked for users %v", store.users)
	}
}

// failing is a store whose verbs fail from some moment on.
type failing struct {
	*jwtauth.MemoryStore
	verb string
}

var errSecretPlace = errors.New("connection to secret.internal refused")

func (f *failing) Query(ctx context.Context, q jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error) {
	if f.verb == "Query" {
		return nil, errSecretPlace
	}
	return f.MemoryStore.Query(ctx, q)
}

func (f *failing) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	if f.verb == "Append" {
		return errSecretPlace
	}
	return f.MemoryStore.Append(ctx, r)
}

func (f *failing) UserByID(ctx context.Context, id string) (jwtauth.User, error) {
	if f.verb == "UserByID" {
		return jwtauth.User{}, errSecretPlace
	}
	return f.MemoryStore.UserByID(ctx, id)
}

func (f *failing) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	if f.verb == "Hit" {
		return jwtauth.Count{}, errSecretPlace
	}
	return f.MemoryStore.Hit(ctx, key, limit, window, now)
}

func (f *failing) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if f.verb == "Revoked" {
		return false, errSecretPlace
	}
	return f.MemoryStore.Revoked(ctx, ref)
}

func (f *failing) ListUsers(ctx context.Context, q jwtauth.UserQuery) ([]jwtauth.User, error) {
	if f.verb == "ListUsers" {
		return nil, errSecretPlace
	}
	return f.MemoryStore.ListUsers(ctx, q)
}

func (f *failing) ListSessions(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
	if f.verb == "ListSessions" {
		return nil, 0, errSecretPlace
	}
	return f.MemoryStore.ListSessions(ctx, q)
}

func TestFaultsArePagesOf503(t *testing.T) {
	store := &failing{MemoryStore: jwtauth.NewMemoryStore()}
	d := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) { cfg.Store = store })
	for verb, paths := range map[string][]string{
		"Query": {"/activity", "/user?id=1"}, "Append": {"/activity", "/users"}, "UserByID": {"/user?id=1", "/activity?user=1"},
		"Hit": {"/user?id=1"}, "Revoked": {"/activity", "/nothing"}, "ListUsers": {"/users"}, "ListSessions": {"/user?id=1"},
	} {
		for _, path := range paths {
			t.Run(verb+" "+path, func(t *testing.T) {
				d.Clock.Add(time.Minute * 10) // so that reads are recorded again
				d.admin = d.login(t, "root")
				store.verb = verb
				p := send(d.ui, request{method: "GET", path: path, grant: d.admin})
				store.verb = ""
				secured(t, p.want(t, 503).lacks(t, "secret.internal"))
				if p.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			})
		}
	}
	store.verb = "Append"
	p := send(d.ui, request{method: "POST", path: "/user/end-all", form: form("user", "1"), grant: d.admin})
	if p.status != 503 {
		t.Errorf("an action that is not recorded is answered with %d", p.status)
	}
}

// A store that can't list has pages all the same.
func TestStoresThatCantListAreSaidSo(t *testing.T) {
	m := jwtauth.NewMemoryStore()
	d := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) {
		cfg.Users = struct{ jwtauth.UserStore }{m}
		cfg.Sessions.Store = struct{ jwtauth.SessionStore }{m}
	})
	d.get(t, "/users").has(t, "can’t list them")
	d.get(t, "/user?id=1").has(t, "1 to 1 of 1")
	if !strings.Contains(d.get(t, "/user?id=1&offset=50").text, "No session is live") {
		t.Error("an offset past the end")
	}
}
