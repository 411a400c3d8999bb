package jwtauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// events returns the whole trail, the latest event first.
func events(t testing.TB, a *jwtauth.Auth) []jwtauth.Event {
	t.Helper()
	return must(a.Events(bg, jwtauth.EventFilter{Limit: 1000}))(t)
}

func eventNames(list []jwtauth.Event) []string {
	var names []string
	for _, e := range list {
		names = append(names, e.Name+" "+e.Result)
	}
	return names
}

// Every endpoint, every outcome: one record, with who, what, why and from where.
func TestEveryOutcomeHasOneRecord(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request request
		signed  bool // with the token of alice
		status  int
		want    string // event, result and reason
	}{
		{"login", request{method: "POST", path: "/token", body: object{"username": "alice", "password": testPassword}}, false, 200, "login ok"},
		{"login with a wrong password", request{method: "POST", path: "/login", body: object{"username": "alice", "password": "wrong"}}, false, 401, "login refused invalid_credentials"},
		{"login of nobody", request{method: "POST", path: "/token", body: object{"username": "nobody", "password": "wrong"}}, false, 401, "login refused invalid_credentials"},
		{"login without a password", request{method: "POST", path: "/token", body: object{"username": "alice"}}, false, 400, "login refused missing_fields"},
		{"login in broken JSON", request{method: "POST", path: "/token", body: "{"}, false, 400, "login refused rest_invalid_json"},
		{"login with a field of the wrong type", request{method: "POST", path: "/token", body: object{"username": 1}}, false, 400, "login refused rest_invalid_param"},
		{"validate", request{method: "POST", path: "/token/validate"}, true, 200, "token.validate ok"},
		{"validate of a forgery", request{method: "POST", path: "/token/validate", body: object{"token": "x.y.z"}}, false, 401, "token.validate refused malformed"},
		{"refresh", request{method: "POST", path: "/token/refresh"}, true, 200, "token.refresh ok"},
		{"refresh with a forgery", request{method: "POST", path: "/token/refresh", body: object{"refresh_token": "jr1.x"}}, false, 401, "token.refresh refused malformed"},
		{"refresh without a token", request{method: "POST", path: "/token/refresh"}, false, 401, "token.refresh refused missing_token"},
		{"revoke", request{method: "POST", path: "/token/revoke"}, true, 200, "token.revoke ok"},
		{"revoke of what is not ours", request{method: "POST", path: "/token/revoke", body: object{"token": "x.y.z"}}, false, 200, "token.revoke ok"},
		{"register", request{method: "POST", path: "/register", body: object{"email": "bob@example.test", "password": testPassword}}, false, 200, "register ok"},
		{"register twice", request{method: "POST", path: "/register", body: object{"email": "alice@example.test", "password": testPassword}}, false, 409, "register refused existing_user_login"},
		{"change of a password", request{method: "POST", path: "/change-password", body: object{"current_password": testPassword, "new_password": testPassword + "!"}}, true, 200, "password.change ok"},
		{"change without a token", request{method: "POST", path: "/change-password"}, false, 401, "password.change refused missing_token"},
		{"change to a weak password", request{method: "POST", path: "/change-password", body: object{"current_password": testPassword, "new_password": "short"}}, true, 400, "password.change refused weak_password"},
		{"me", request{method: "GET", path: "/me"}, true, 200, "account.read ok"},
		{"me without a token", request{method: "GET", path: "/me"}, false, 401, "account.read refused missing_token"},
		{"delete", request{method: "DELETE", path: "/me"}, true, 200, "account.delete ok"},
		{"sessions", request{method: "GET", path: "/sessions"}, true, 200, "session.list ok"},
		{"end of other sessions", request{method: "DELETE", path: "/sessions"}, true, 200, "session.end ok"},
		{"end of a session that is not there", request{method: "DELETE", path: "/sessions/none"}, true, 404, "session.end refused not_found"},
		{"activity", request{method: "GET", path: "/me/activity"}, true, 200, "activity.read ok"},
		{"audit by a subscriber", request{method: "GET", path: "/audit"}, true, 403, "audit.read refused rest_forbidden"},
		{"forgot", request{method: "POST", path: "/forgot-password", body: object{"login": "alice"}}, false, 200, "password.forgot ok"},
		{"forgot of nobody", request{method: "POST", path: "/forgot-password", body: object{"login": "nobody"}}, false, 200, "password.forgot refused not_found"},
		{"forgot without a name", request{method: "POST", path: "/forgot-password"}, false, 400, "password.forgot refused missing_fields"},
		{"reset with a wrong code", request{method: "POST", path: "/reset-password", body: object{"login": "alice", "password": testPassword + "!", "code": "000000"}}, false, 400, "password.reset refused invalid_code"},
		{"confirmation with a wrong code", request{method: "POST", path: "/verify-email", body: object{"login": "alice", "code": "000000"}}, false, 400, "email.verify refused invalid_code"},
		{"exchange of nothing", request{method: "POST", path: "/sso/exchange"}, false, 400, "sso.exchange refused missing_fields"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t)
			admin := must(a.CreateUser(bg, jwtauth.Registration{Email: "root@example.test", Password: testPassword, Roles: []string{"administrator"}}))(t)
			g := register(t, a, "alice")
			before := len(events(t, a))
			q := tc.request
			q.header = http.Header{"User-Agent": {"test agent"}}
			if tc.signed {
				q.token = g.AccessToken
			}
			if got := send(t, a.Handler(), q); got.status != tc.status {
				t.Fatalf("status %d, want %d: %s", got.status, tc.status, got.text)
			}
			after := events(t, a)
			fresh := slices.DeleteFunc(after[:len(after)-before], func(e jwtauth.Event) bool { return e.Name == jwtauth.EventNewDevice })
			if len(fresh) != 1 {
				t.Fatalf("%d records: %v", len(fresh), eventNames(fresh))
			}
			e := fresh[0]
			if got := strings.TrimSpace(e.Name + " " + e.Result + " " + e.Reason); got != tc.want {
				t.Errorf("record %q, want %q", got, tc.want)
			}
			if e.ID == "" || !e.Time.Equal(epoch) || e.Time.Location() != time.UTC || e.Count != 1 {
				t.Errorf("id %q, time %v, count %d", e.ID, e.Time, e.Count)
			}
			if e.Erased {
				return
			}
			if e.Address != "192.0.2.1" || e.UserAgent != "test agent" || e.RequestID == "" {
				t.Errorf("address %q, user agent %q, request %q", e.Address, e.UserAgent, e.RequestID)
			}
			if tc.signed && (e.UserID != g.User.ID || e.UserID == admin.ID) {
				t.Errorf("user %q, want %q", e.UserID, g.User.ID)
			}
		})
	}
}

func TestAnOutcomeThatCantBeRecordedIsNotAcknowledged(t *testing.T) {
	store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	g := register(t, a, "alice")
	store.verb = "Append"
	for _, q := range []request{
		{method: "GET", path: "/me", token: g.AccessToken},
		{method: "GET", path: "/me"},
		{method: "POST", path: "/token/validate", token: g.AccessToken},
	} {
		if got := send(t, a.Handler(), q); got.status != 503 || got.str("code") != "service_unavailable" {
			t.Errorf("%s %s: %d %s", q.method, q.path, got.status, got.text)
		}
	}
}

func TestSkipReadsLeavesOutWhatWasOnlyRead(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Audit.SkipReads = true })
	g := register(t, a, "alice")
	before := len(events(t, a))
	for _, path := range []string{"/me", "/sessions", "/me/activity"} {
		send(t, a.Handler(), request{method: "GET", path: path, token: g.AccessToken})
	}
	send(t, a.Handler(), request{method: "GET", path: "/me"})
	if got := eventNames(events(t, a)[:len(events(t, a))-before]); !slices.Equal(got, []string{"account.read refused"}) {
		t.Errorf("records %v, want the refusal alone", got)
	}
}

// A host's own routes: who lacked a right, and who came with a forgery. That a
// token is missing or has expired happens to everybody.
func TestRefusedAccessToHostRoutes(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "alice")
	admins := a.RequireRole("administrator")(http.NotFoundHandler())
	before := len(events(t, a))
	send(t, admins, request{method: "GET", path: "/"})
	send(t, admins, request{method: "GET", path: "/", token: g.AccessToken})
	send(t, admins, request{method: "GET", path: "/", token: g.AccessToken + "x"})
	c.Add(2 * time.Hour)
	send(t, admins, request{method: "GET", path: "/", token: g.AccessToken})
	list := events(t, a)
	list = list[:len(list)-before]
	if len(list) != 2 || list[1].Reason != "rest_forbidden" || list[1].UserID != g.User.ID || list[0].Reason != "malformed" {
		t.Errorf("records %+v", list)
	}
}

// Who acts on somebody else's account is the actor.
func TestActorIsWhoActs(t *testing.T) {
	a, _ := newAuth(t)
	admin := must(a.CreateUser(bg, jwtauth.Registration{Email: "root@example.test", Password: testPassword, Roles: []string{"administrator"}}))(t)
	u := register(t, a, "alice").User
	token := must(a.Issue(bg, admin.ID))(t).AccessToken
	disable := a.RequireRole("administrator")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.Disable(r.Context(), u.ID); err != nil {
			t.Error(err)
		}
	}))
	send(t, disable, request{method: "POST", path: "/", token: token})
	list := must(a.Events(bg, jwtauth.EventFilter{UserID: u.ID, Name: jwtauth.EventDisable}))(t)
	if len(list) != 1 || list[0].ActorID != admin.ID {
		t.Errorf("events %+v, want one by %s", list, admin.ID)
	}
}

func TestHostileTextIsKeptAsOneRecord(t *testing.T) {
	var logs bytes.Buffer
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil)) })
	register(t, a, "alice")
	before := strings.Count(logs.String(), "\n")
	agent := "x\r\nlevel=ERROR \x1b[31m\x00\u2028\"" + strings.Repeat("y", 1<<20)
	ctx := jwtauth.WithClient(bg, jwtauth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: agent, RequestID: agent, DeviceID: agent})
	_, _ = a.Login(ctx, jwtauth.Credentials{Login: agent, Password: agent})
	e := events(t, a)[0]
	if len(e.UserAgent) > 256 || len(e.RequestID) > 64 || len(e.DeviceID) > 64 || strings.ContainsRune(e.UserAgent, 0) || !strings.HasSuffix(e.UserAgent, "…") {
		t.Errorf("kept %d, %d and %d bytes", len(e.UserAgent), len(e.RequestID), len(e.DeviceID))
	}
	if after := strings.Count(logs.String(), "\n"); after != before+1 {
		t.Errorf("%d lines in the log for one event", after-before)
	}
	body := send(t, a.Handler(), request{method: "GET", path: "/me/activity", token: login(t, a, "alice").AccessToken})
	if !json.Valid([]byte(body.text)) {
		t.Error("the activity is not JSON")
	}
}

// Of refusals that are alike the first ones of a minute are written one by one,
// the rest as one record. What was done is never counted like this.
func TestFloodOfRefusalsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Lockout.Disabled = true })
		u := register(t, a, "alice").User
		from := func(ip string) context.Context {
			return jwtauth.WithClient(bg, jwtauth.Client{IP: netip.MustParseAddr(ip)})
		}
		for range 200 {
			_, _ = a.Login(from("192.0.2.1"), jwtauth.Credentials{Login: "alice", Password: "wrong"})
		}
		_, _ = a.Login(from("192.0.2.2"), jwtauth.Credentials{Login: "alice", Password: "wrong"})
		refusals := jwtauth.EventFilter{Name: jwtauth.EventLogin, Result: jwtauth.ResultRefused, Limit: 1000}
		if n := len(must(a.Events(bg, refusals))(t)); n != 11 {
			t.Errorf("%d records at once, want 10 and the one of another address", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		list := must(a.Events(bg, refusals))(t)
		if len(list) != 12 {
			t.Fatalf("%d records after a minute, want one more", len(list))
		}
		if e := list[0]; e.Count != 190 || e.UserID != u.ID || e.Address != "192.0.2.1" || e.Reason != "invalid_credentials" {
			t.Errorf("record %+v, want one of 190 refusals", e)
		}
		_, _ = a.Login(from("192.0.2.1"), jwtauth.Credentials{Login: "alice", Password: "wrong"})
		if n := len(must(a.Events(bg, refusals))(t)); n != 13 {
			t.Errorf("%d records, want the next minute to begin anew", n)
		}
		for range 20 {
			_, _ = a.Login(from("192.0.2.1"), jwtauth.Credentials{Login: "alice", Password: "wrong"})
		}
		if err := a.Close(bg); err != nil {
			t.Fatal(err)
		}
		if e := must(a.Events(bg, refusals))(t)[0]; e.Count != 11 {
			t.Errorf("Close left a count of %d, want 11", e.Count)
		}
		report := must(a.VerifyTrail(bg))(t)
		if n := len(events(t, a)); report.Records != n {
			t.Errorf("%d records on the chain, %d in the trail", report.Records, n)
		}
	})
}

// A source that changes with each request does not make records without end.
func TestFloodFromManySourcesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Audit.Refusals = 1; cfg.Logger = slog.New(slog.DiscardHandler) })
		const sources = 10_050
		for i := range sources {
			ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			_, _ = a.Refresh(jwtauth.WithClient(bg, jwtauth.Client{IP: ip}), "jr1.x")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		list := must(a.Events(bg, jwtauth.EventFilter{Limit: 2}))(t)
		if list[0].Count != sources-10_000-1 || list[0].Address != "" {
			t.Errorf("last record %+v, want one for the %d that came when 10,000 were known", list[0], sources-10_000-1)
		}
	})
}

// store whose trail can be changed behind the back of the Auth.
type tamperedStore struct {
	*jwtauth.MemoryStore
	records func([]jwtauth.AuditRecord) []jwtauth.AuditRecord
	marks   func(anchor, head jwtauth.AuditMark) (jwtauth.AuditMark, jwtauth.AuditMark)
}

func (s *tamperedStore) Follow(ctx context.Context, after int64, limit int) ([]jwtauth.AuditRecord, error) {
	list, err := s.MemoryStore.Follow(ctx, after, limit)
	if s.records != nil {
		list = s.records(list)
	}
	return list, err
}

func (s *tamperedStore) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	anchor, head, err = s.MemoryStore.AuditMarks(ctx)
	if s.marks != nil {
		anchor, head = s.marks(anchor, head)
	}
	return anchor, head, err
}

func TestVerifyTrailFindsWhatWasDoneToIt(t *testing.T) {
	type records = []jwtauth.AuditRecord
	change := func(f func(r *jwtauth.AuditRecord)) func(records) records {
		return func(list records) records { f(&list[2]); return list }
	}
	for _, tc := range []struct {
		name    string
		records func(records) records
		marks   func(anchor, head jwtauth.AuditMark) (jwtauth.AuditMark, jwtauth.AuditMark)
		broken  bool
	}{
		{"nothing", nil, nil, false},
		{"record removed", func(l records) records { return append(l[:2:2], l[3:]...) }, nil, true},
		{"last record removed", func(l records) records { return l[:len(l)-1] }, nil, true},
		{"first record removed", func(l records) records { return l[1:] }, nil, true},
		{"records exchanged", func(l records) records { l[1], l[2] = l[2], l[1]; return l }, nil, true},
		{"records exchanged with their places", func(l records) records {
			l[1], l[2] = l[2], l[1]
			l[1].Sequence, l[2].Sequence = l[2].Sequence, l[1].Sequence
			return l
		}, nil, true},
		{"record doubled", func(l records) records { return slices.Insert(l, 2, l[2]) }, nil, true},
		{"result changed", change(func(r *jwtauth.AuditRecord) { r.Result = jwtauth.ResultRefused }), nil, true},
		{"time changed", change(func(r *jwtauth.AuditRecord) { r.Time = r.Time.Add(time.Microsecond) }), nil, true},
		{"count changed", change(func(r *jwtauth.AuditRecord) { r.Count++ }), nil, true},
		{"user exchanged", change(func(r *jwtauth.AuditRecord) { r.Subject = "another" }), nil, true},
		{"personal part changed", change(func(r *jwtauth.AuditRecord) { r.Personal[len(r.Personal)-1] ^= 1 }), nil, true},
		{"hash changed", change(func(r *jwtauth.AuditRecord) { r.Hash[0] ^= 1 }), nil, true},
		{"text moved from one field to the next", change(func(r *jwtauth.AuditRecord) { r.Name, r.Result = r.Name+r.Result[:1], r.Result[1:] }), nil, true},
		{"front cut off with a beginning of one's own", func(l records) records { return l[2:] },
			func(anchor, head jwtauth.AuditMark) (jwtauth.AuditMark, jwtauth.AuditMark) {
				return jwtauth.AuditMark{Sequence: 2, Hash: head.Hash, Proof: head.Proof}, head
			}, true},
		{"end made up", nil, func(anchor, head jwtauth.AuditMark) (jwtauth.AuditMark, jwtauth.AuditMark) {
			head.Proof = bytes.Repeat([]byte{1}, len(head.Proof))
			return anchor, head
		}, true},
		{"emptied", func(records) records { return nil }, func(anchor, head jwtauth.AuditMark) (a, h jwtauth.AuditMark) {
			return jwtauth.AuditMark{}, jwtauth.AuditMark{}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := &tamperedStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			register(t, a, "alice")
			for range 5 {
				login(t, a, "alice")
			}
			noted := must(a.VerifyTrail(bg))(t).Head
			store.records, store.marks = tc.records, tc.marks
			_, err := a.VerifyTrail(bg, noted)
			if broken := errors.Is(err, jwtauth.ErrTrailBroken); broken != tc.broken || err != nil && !broken {
				t.Errorf("error %v, want broken %t", err, tc.broken)
			}
		})
	}
}

// Set back as a whole, to a copy of an earlier day, a trail is in order by
// itself. The mark that was kept elsewhere tells.
func TestVerifyTrailFindsATrailThatWasSetBack(t *testing.T) {
	store := &tamperedStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	old := must(a.VerifyTrail(bg))(t).Head
	login(t, a, "alice")
	noted := must(a.VerifyTrail(bg, old))(t).Head
	store.records = func(l []jwtauth.AuditRecord) []jwtauth.AuditRecord { return l[:old.Sequence] }
	store.marks = func(anchor, _ jwtauth.AuditMark) (jwtauth.AuditMark, jwtauth.AuditMark) { return anchor, old }
	if _, err := a.VerifyTrail(bg, old); err != nil {
		t.Errorf("with the mark of that day: %v", err)
	}
	if _, err := a.VerifyTrail(bg, noted); !errors.Is(err, jwtauth.ErrTrailBroken) {
		t.Errorf("with a later mark: %v", err)
	}
}

func TestTrailSurvivesANewSecret(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	next := []byte("b81d06f3a97e4c25d0e6917fa43b5c28")
	open := func(secret []byte, old ...[]byte) *jwtauth.Auth {
		a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store, cfg.Secret, cfg.OldSecrets = store, secret, old })
		return a
	}
	first := open(testSecret)
	register(t, first, "alice")
	must(first.VerifyTrail(bg))(t)

	both := open(next, testSecret)
	login(t, both, "alice")
	if _, err := both.VerifyTrail(bg); err != nil {
		t.Fatalf("with both secrets: %v", err)
	}
	if n := len(must(both.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventLogin}))(t)); n != 1 {
		t.Errorf("%d logins found", n)
	}
	second := open(next)
	if _, err := second.VerifyTrail(bg); err != nil {
		t.Fatalf("with the new secret alone: %v", err)
	}

	lost := open([]byte("5e2fa9c07b6d48139cf1e0d8247a6b3f"))
	login(t, lost, "alice")
	if _, err := lost.VerifyTrail(bg); !errors.Is(err, jwtauth.ErrTrailBroken) {
		t.Fatalf("with a secret that never sealed: %v", err)
	}
	if err := lost.AdoptTrail(bg); err != nil {
		t.Fatal(err)
	}
	if _, err := lost.VerifyTrail(bg); err != nil {
		t.Errorf("after AdoptTrail: %v", err)
	}
	if e := events(t, lost)[0]; e.Name != jwtauth.EventTrailAdopt {
		t.Errorf("last event %s", e.Name)
	}
}

// Several nodes seal one trail: no place is taken twice and none is left out.
func TestNodesSealOneTrail(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	nodes := make([]*jwtauth.Auth, 4)
	for i := range nodes {
		nodes[i], _ = newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	}
	register(t, nodes[0], "alice")
	var all sync.WaitGroup
	for _, a := range nodes {
		all.Go(func() {
			for range 20 {
				if _, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword}); err != nil {
					t.Error(err)
				}
				if _, err := a.Follow(bg, 0, 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	report := must(nodes[0].VerifyTrail(bg))(t)
	if n := len(events(t, nodes[0])); report.Records != n || report.First != 1 || report.Last != int64(n) {
		t.Errorf("report %+v, with %d records", report, n)
	}
}

func TestFollowMissesNothing(t *testing.T) {
	a, _ := newAuth(t)
	register(t, a, "alice")
	for range 30 {
		login(t, a, "alice")
	}
	want := events(t, a)
	slices.Reverse(want)
	var got []string
	after := int64(0)
	for {
		page := must(a.Follow(bg, after, 7))(t)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.Sequence != after+1 {
				t.Fatalf("Sequence %d after %d", e.Sequence, after)
			}
			after = e.Sequence
			got = append(got, e.ID)
		}
	}
	if end := must(a.TrailEnd(bg))(t); end != after || len(got) != len(want) {
		t.Fatalf("%d of %d events, the last at %d of %d", len(got), len(want), after, end)
	}
	for i := range want {
		if got[i] != want[i].ID {
			t.Fatalf("event %d out of order", i)
		}
	}
}

// A trail that is purged still verifies, from its new beginning on.
func TestRetentionPurgesTheFront(t *testing.T) {
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Audit.Retention = 10 * 24 * time.Hour })
	register(t, a, "alice")
	for range 5 {
		login(t, a, "alice")
	}
	noted := must(a.VerifyTrail(bg))(t).Head
	c.Add(11 * 24 * time.Hour)
	login(t, a, "alice")
	must(a.VerifyTrail(bg))(t) // seals, and purges
	list := events(t, a)
	if len(list) != 1 {
		t.Errorf("%d records left: %v", len(list), eventNames(list))
	}
	report := must(a.VerifyTrail(bg, noted))(t)
	if report.First <= 1 || report.Records != len(list) {
		t.Errorf("report %+v", report)
	}
}

func TestMemoryStoreKeepsTheNewestRecords(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Audit.Refusals = 1 << 20 })
	for range 11_000 {
		_, _ = a.Refresh(bg, "jr1.x")
	}
	report := must(a.VerifyTrail(bg))(t)
	report = must(a.VerifyTrail(bg))(t)
	if report.Records != 10_000 || report.Last != 11_000 {
		t.Errorf("report %+v, want the newest 10,000 of 11,000", report)
	}
}

// What the trail tells about somebody goes with the account. That it happened
// stays, and the chain holds.
func TestDeletedUserIsForgotten(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	canary := jwtauth.Client{IP: netip.MustParseAddr("198.51.100.77"), UserAgent: "canary-agent", DeviceID: "canary-device", RequestID: "canary-request"}
	ctx := jwtauth.WithClient(bg, canary)
	g := must(a.Register(ctx, jwtauth.Registration{Username: "canary-name", Email: "canary@example.test", Password: testPassword}))(t)
	other := register(t, a, "bob").User
	if _, err := a.Login(ctx, jwtauth.Credentials{Login: "canary-name", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	_, _ = a.Login(ctx, jwtauth.Credentials{Login: "canary-name", Password: "wrong"})
	before := len(events(t, a))
	found := must(a.Events(bg, jwtauth.EventFilter{Address: canary.IP.String()}))(t)
	if len(found) < 3 || found[0].UserAgent != canary.UserAgent {
		t.Fatalf("before the deletion, %d events of that address", len(found))
	}
	if err := a.DeleteUser(ctx, g.User.ID); err != nil {
		t.Fatal(err)
	}
	for _, r := range must(store.Query(bg, jwtauth.AuditQuery{Limit: 1000}))(t) {
		dump := fmt.Sprintf("%s %s %s %s", r.Reason, r.Subject, r.AddressKey, r.Personal)
		for _, secret := range []string{"canary", "198.51.100.77", g.Session.ID, g.TokenID} {
			if strings.Contains(dump, secret) {
				t.Errorf("record %q of the store still holds %q", dump, secret)
			}
		}
	}
	_, _ = a.Refresh(ctx, g.RefreshToken) // a stranger's, from now on
	list := events(t, a)
	if len(list) < before+1 {
		t.Errorf("%d records, there were %d", len(list), before)
	}
	for _, e := range list {
		mine := e.UserID == g.User.ID
		if mine || e.Erased && (e.UserID != "" || e.Address != "" || e.UserAgent != "" || e.SessionID != "") {
			t.Errorf("event %+v still tells whose it was", e)
		}
	}
	if n := len(must(a.Events(bg, jwtauth.EventFilter{UserID: g.User.ID}))(t)); n != 0 {
		t.Errorf("%d events are found by the user", n)
	}
	if n := len(must(a.Events(bg, jwtauth.EventFilter{UserID: other.ID}))(t)); n != 1 {
		t.Errorf("%d events of somebody else, want 1", n)
	}
	if _, err := a.VerifyTrail(bg); err != nil {
		t.Errorf("the chain: %v", err)
	}
}

// A deletion whose last steps fail can be repeated, and nothing is left.
func TestDeletionThatFailsHalfWayIsCompleted(t *testing.T) {
	for _, verb := range []string{"Revoke", "EndSessions", "Append", "Reset", "EraseAuditKey"} {
		t.Run(verb, func(t *testing.T) {
			store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			u := register(t, a, "alice").User
			store.verb = verb
			wantErr(t, "deletion during the fault", a.DeleteUser(bg, u.ID), jwtauth.ErrUnavailable)
			store.verb = ""
			wantErr(t, "deletion afterwards", a.DeleteUser(bg, u.ID), jwtauth.ErrNotFound)
			for _, e := range events(t, a) {
				if e.UserID == u.ID {
					t.Errorf("event %s still tells whose it was", e.Name)
				}
			}
		})
	}
}

func TestNewDeviceIsNoticed(t *testing.T) {
	home := jwtauth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "home browser"}
	away := jwtauth.Client{IP: netip.MustParseAddr("198.51.100.9"), UserAgent: "other browser"}
	for _, tc := range []struct {
		name    string
		client  func(first *jwtauth.Grant) jwtauth.Client
		noticed bool
	}{
		{"same browser at the same address", func(*jwtauth.Grant) jwtauth.Client { return home }, false},
		{"another browser at another address", func(*jwtauth.Grant) jwtauth.Client { return away }, true},
		{"another browser at the same address", func(*jwtauth.Grant) jwtauth.Client {
			return jwtauth.Client{IP: home.IP, UserAgent: away.UserAgent}
		}, true},
		{"same browser elsewhere", func(*jwtauth.Grant) jwtauth.Client {
			return jwtauth.Client{IP: away.IP, UserAgent: home.UserAgent}
		}, true},
		{"known device elsewhere", func(g *jwtauth.Grant) jwtauth.Client {
			return jwtauth.Client{IP: away.IP, UserAgent: away.UserAgent, DeviceToken: g.DeviceToken}
		}, false},
		{"known device of a label alone", func(*jwtauth.Grant) jwtauth.Client {
			return jwtauth.Client{IP: away.IP, UserAgent: away.UserAgent, DeviceID: "home"}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t)
			first := must(a.Register(jwtauth.WithClient(bg, home), jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}))(t)
			if n := len(must(a.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventNewDevice}))(t)); n != 0 {
				t.Errorf("%d notices at the registration", n)
			}
			if _, err := a.Login(jwtauth.WithClient(bg, tc.client(first)), jwtauth.Credentials{Login: "alice", Password: testPassword}); err != nil {
				t.Fatal(err)
			}
			list := must(a.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventNewDevice}))(t)
			if (len(list) == 1) != tc.noticed || len(list) > 1 {
				t.Errorf("%d notices", len(list))
			}
		})
	}
}

// Somebody who deletes their own account can't come back when a step fails: what
// is about them is erased all the same.
func TestDeletionWhoseRecordFailsErasesAllTheSame(t *testing.T) {
	for _, verb := range []string{"Revoke", "EndSessions", "Append"} {
		t.Run(verb, func(t *testing.T) {
			store := &brokenStore{MemoryStore: jwtauth.NewMemoryStore()}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			u := register(t, a, "alice").User
			store.verb = verb
			wantErr(t, "deletion during the fault", a.DeleteUser(bg, u.ID), jwtauth.ErrUnavailable)
			store.verb = ""
			for _, e := range events(t, a) {
				if e.UserID == u.ID {
					t.Errorf("event %s still tells whose it was", e.Name)
				}
			}
		})
	}
}
