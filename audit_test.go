package jwtauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// auditedSite has an administrator, two users and a few events of each.
func auditedSite(t *testing.T) (h http.Handler, admin, alice, bob *jwtauth.Grant) {
	a, c := newAuth(t)
	u := must(a.CreateUser(bg, jwtauth.Registration{Username: "root", Email: "root@example.test", Password: testPassword, Roles: []string{"administrator"}}))(t)
	admin = must(a.Issue(bg, u.ID))(t)
	alice, bob = register(t, a, "alice"), register(t, a, "bob")
	from := func(ip string) context.Context {
		return jwtauth.WithClient(bg, jwtauth.Client{IP: netip.MustParseAddr(ip), UserAgent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
	}
	for i := range 3 {
		c.Add(time.Minute)
		_, _ = a.Login(from("192.0.2.7"), jwtauth.Credentials{Login: "alice", Password: "wrong"})
		_, _ = a.Login(from(fmt.Sprintf("2001:db8::%d", i)), jwtauth.Credentials{Login: "bob", Password: testPassword})
	}
	return a.Handler(), admin, alice, bob
}

func list(t testing.TB, h http.Handler, path, token string, status int) []map[string]any {
	t.Helper()
	got := send(t, h, request{method: "GET", path: path, token: token})
	if got.status != status {
		t.Fatalf("GET %s: %d, want %d: %s", path, got.status, status, got.text)
	}
	var out []map[string]any
	rows, _ := got.at("events").([]any)
	for _, row := range rows {
		out = append(out, row.(map[string]any))
	}
	return out
}

func TestAuditIsForAdministrators(t *testing.T) {
	h, admin, alice, _ := auditedSite(t)
	list(t, h, "/audit", "", 401)
	list(t, h, "/audit", alice.AccessToken, 403)
	if n := len(list(t, h, "/audit", admin.AccessToken, 200)); n < 10 {
		t.Errorf("%d events", n)
	}
}

func TestAuditFilters(t *testing.T) {
	h, admin, alice, bob := auditedSite(t)
	at := func(d time.Duration) string { return url.QueryEscape(epoch.Add(d).Format(time.RFC3339)) }
	for _, tc := range []struct {
		query string
		want  int
	}{
		{"event=login&result=refused", 3},
		{"event=login&user=" + bob.User.ID, 3},
		{"event=login&user=" + alice.User.ID + "&result=ok", 0},
		{"user=999", 0},
		{"address=192.0.2.7&event=login", 3},
		{"address=::ffff:192.0.2.7&event=login", 3},
		{"address=2001:db8::1&event=login", 1},
		{"address=192.0.2.8", 0},
		{"event=login&from=" + at(2*time.Minute) + "&to=" + at(3*time.Minute), 2},
	} {
		rows := list(t, h, "/audit?"+tc.query, admin.AccessToken, 200)
		if len(rows) != tc.want {
			t.Errorf("%s: %d events, want %d: %v", tc.query, len(rows), tc.want, rows)
		}
	}
	for _, query := range []string{"limit=0", "limit=x", "limit=-1", "from=yesterday", "to=1", "address=localhost",
		"user=1&user=2", "before=%27+OR+1%3D1", "before=1", "before=01A20EF3-FBE7-707B-9D13-6E621BE7149D",
		"user=%zz", "event=%00", "event=a%0Ab"} {
		list(t, h, "/audit?"+query, admin.AccessToken, 400)
	}
}

func TestAuditPagesNeitherRepeatNorSkip(t *testing.T) {
	h, admin, _, _ := auditedSite(t)
	seen := map[any]bool{}
	path, pages := "/audit?limit=4&event=login", 0
	for {
		got := send(t, h, request{method: "GET", path: path, token: admin.AccessToken})
		pages++
		for _, row := range got.at("events").([]any) {
			id := row.(map[string]any)["id"]
			if seen[id] {
				t.Errorf("event %v twice", id)
			}
			seen[id] = true
		}
		if got.str("next") == "" {
			break
		}
		path = "/audit?limit=4&event=login&before=" + got.str("next")
		send(t, h, request{method: "POST", path: "/token", body: object{"username": "alice", "password": "wrong"}}) // one more in front
	}
	if len(seen) != 6 || pages != 2 {
		t.Errorf("%d events on %d pages, want 6 on 2", len(seen), pages)
	}
}

func TestActivityIsOnesOwn(t *testing.T) {
	h, admin, alice, bob := auditedSite(t)
	rows := list(t, h, "/me/activity?event=login&user="+bob.User.ID, alice.AccessToken, 200)
	if len(rows) != 3 {
		t.Fatalf("%d events, want the 3 wrong passwords", len(rows))
	}
	row := rows[0]
	for name, want := range map[string]any{"event": "login", "result": "refused", "reason": "invalid_credentials", "ip": "192.0.2.7",
		"device": "Firefox on Linux", "count": 1.0} {
		if row[name] != want {
			t.Errorf("%s is %v, want %v", name, row[name], want)
		}
	}
	if fmt.Sprint(row["user"]) != alice.User.ID {
		t.Errorf("user %v", row["user"])
	}
	list(t, h, "/me/activity", "", 401)
	if n := len(list(t, h, "/me/activity?event=register", admin.AccessToken, 200)); n != 1 {
		t.Errorf("%d registrations in the activity of the administrator, want their own", n)
	}
}
