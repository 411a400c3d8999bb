package adminui_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
	"github.com/go-jwtauth/jwtauth/authtest"
)

// newAccount is the pages of one's own account.
func newAccount(t testing.TB) (*authtest.Site, http.Handler) {
	t.Helper()
	site := authtest.New(t, func(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true })
	ui, err := adminui.NewAccount(site.Auth, adminui.AccountConfig{LoginURL: "/signin/?next={next}"})
	if err != nil {
		t.Fatal(err)
	}
	return site, ui
}

func TestAccountShowsOnesOwnAndNothingElse(t *testing.T) {
	site, ui := newAccount(t)
	ada, other := account(t, site.Auth, "ada"), account(t, site.Auth, "mallory")
	p := send(ui, request{method: "GET", path: "/", grant: ada}).want(t, 200).has(t, "this one", "register", "Firefox on Linux").lacks(t, "mallory")
	secured(t, p)
	same(t, "sessions", p.rows("data-session"), []string{ada.Session.ID})
	send(ui, request{method: "GET", path: "/"}).want(t, 401).has(t, "Please sign in")
	send(ui, request{method: "GET", path: "/?user=" + other.User.ID, grant: ada}).want(t, 400)

	p = send(ui, request{method: "POST", path: "/end-session", form: form("session", other.Session.ID), grant: ada}).want(t, 303)
	send(ui, request{method: "GET", path: resolve(t, "/end-session", p.header.Get("Location")), grant: ada}).want(t, 200).has(t, "over already")
	if _, err := site.Auth.Verify(t.Context(), other.AccessToken); err != nil {
		t.Errorf("somebody else's session was ended: %v", err)
	}
}

// Who looked at an account, and from where, is not for its owner.
func TestAccountNamesNoAdministrator(t *testing.T) {
	site, ui := newAccount(t)
	ada, root := account(t, site.Auth, "ada"), account(t, site.Auth, "root", "administrator")
	id, err := site.Auth.Verify(t.Context(), root.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = "198.51.100.77:1"
	if err := site.Auth.Unlock(site.Auth.WithIdentity(r, id).Context(), ada.User.ID); err != nil {
		t.Fatal(err)
	}
	send(ui, request{method: "GET", path: "/", grant: ada}).has(t, "account.unlock ok an administrator").lacks(t, "198.51.100.77", "root")
}

func TestAccountEndsSessions(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		session    int // which one is named: 1 is this one, 2 another
		status     int
		live       []bool // which of the three live on; the first one asks
	}{
		{"another device", "/end-session", 2, 303, []bool{true, false, true}},
		{"this device", "/end-session", 1, 200, []bool{false, true, true}},
		{"all other devices", "/end-others", 0, 303, []bool{true, false, false}},
		{"everywhere", "/end-all", 0, 200, []bool{false, false, false}},
		{"signing out", "/sign-out", 0, 200, []bool{false, true, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			site, ui := newAccount(t)
			grants := []*jwtauth.Grant{account(t, site.Auth, "ada")}
			for range 2 {
				g, err := site.Auth.Issue(browser(), grants[0].User.ID)
				if err != nil {
					t.Fatal(err)
				}
				grants = append(grants, g)
			}
			q := request{method: "POST", path: tc.path, grant: grants[0]}
			if tc.session > 0 {
				q.form = form("session", grants[tc.session-1].Session.ID)
			}
			p := send(ui, q).want(t, tc.status)
			secured(t, p)
			if gone := !tc.live[0]; gone != strings.Contains(strings.Join(p.header.Values("Set-Cookie"), " "), "Max-Age=0") {
				t.Errorf("cookies: %q", p.header.Values("Set-Cookie"))
			}
			for i, g := range grants {
				if _, err := site.Auth.Verify(t.Context(), g.AccessToken); (err == nil) != tc.live[i] {
					t.Errorf("session %d: %v", i+1, err)
				}
			}
			cross := http.Header{"Sec-Fetch-Site": {"cross-site"}}
			send(ui, request{method: "POST", path: tc.path, form: q.form, grant: grants[1], header: cross}).want(t, 403)
		})
	}
}

func newSignIn(t testing.TB, change ...func(*jwtauth.Config)) (*authtest.Site, http.Handler) {
	t.Helper()
	site := authtest.New(t, append([]func(*jwtauth.Config){func(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true }}, change...)...)
	form, err := adminui.NewSignIn(site.Auth, adminui.SignInConfig{Next: "/account/"})
	if err != nil {
		t.Fatal(err)
	}
	account(t, site.Auth, "ada", "administrator")
	return site, form
}

func enter(h http.Handler, password, next string, header http.Header) page {
	return send(h, request{method: "POST", path: "/", form: form("login", "ada", "password", password, "next", next), header: header})
}

func TestSigningIn(t *testing.T) {
	site, h := newSignIn(t)
	secured(t, send(h, request{method: "GET", path: "/"}).want(t, 200).has(t, "Password"))
	for name, tc := range map[string]struct{ next, to string }{
		"where it was wanted":     {"/admin/users?find=ada", "/admin/users?find=ada"},
		"nowhere in particular":   {"", "/account/"},
		"another host":            {"https://evil.example/", "/account/"},
		"another host, no scheme": {"//evil.example/", "/account/"},
		"a backslash":             {`/\evil.example/`, "/account/"},
		"a tab in between":        {"/\t/evil.example/", "/account/"},
		"a script":                {"javascript:alert(1)", "/account/"},
	} {
		t.Run(name, func(t *testing.T) {
			p := enter(h, authtest.Password, tc.next, nil).want(t, 303)
			if to := p.header.Get("Location"); to != tc.to {
				t.Errorf("leads to %q", to)
			}
			if cookies := p.header.Values("Set-Cookie"); len(cookies) != 3 {
				t.Errorf("cookies: %q", cookies)
			}
		})
	}
	p := enter(h, "wrong", "/admin/", nil).want(t, 401).has(t, "The user name or password is incorrect.")
	secured(t, p)
	if p.header.Values("Set-Cookie") != nil || !strings.Contains(p.text, `name="next" value="/admin/"`) || strings.Contains(p.text, "wrong") {
		t.Errorf("after a wrong password: %v %s", p.header, p.text)
	}
	list, err := site.Auth.Events(t.Context(), jwtauth.EventFilter{Name: jwtauth.EventLogin, Result: jwtauth.ResultRefused})
	if err != nil || len(list) != 1 || list[0].Reason != "invalid_credentials" {
		t.Errorf("recorded %+v, %v", list, err)
	}
}

func TestSigningInAcrossSitesIsRefused(t *testing.T) {
	site, h := newSignIn(t)
	p := enter(h, authtest.Password, "", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}).want(t, 403)
	if p.header.Values("Set-Cookie") != nil {
		t.Error("a page of another site signs a browser in")
	}
	list, err := site.Auth.Sessions(t.Context(), "1")
	if err != nil || len(list) != 1 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

func TestSigningInIsLimitedAndLocked(t *testing.T) {
	_, h := newSignIn(t, func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
	for range 5 {
		enter(h, "wrong", "", nil).want(t, 401)
	}
	p := enter(h, authtest.Password, "", nil).want(t, 429).has(t, "Rate limit exceeded")
	if p.header.Get("Retry-After") == "" || p.header.Get("X-RateLimit-Limit") != "5" {
		t.Errorf("headers: %v", p.header)
	}
	_, h = newSignIn(t)
	for range 5 {
		enter(h, "wrong", "", nil).want(t, 401)
	}
	enter(h, authtest.Password, "", nil).want(t, 401).has(t, "The user name or password is incorrect.")
}

func TestTheGateOfTheHostIsAsked(t *testing.T) {
	refused := false
	_, h := newSignIn(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.BeforeLogin = gateAfter(1, func() { refused = true })
	})
	enter(h, authtest.Password, "", nil).want(t, 403).has(t, "A second factor is needed.")
	if !refused {
		t.Error("the gate was not asked")
	}
}

// A browser with both cookies keeps them in a jar, and goes on when the access
// token has expired.
func TestGoingOnAfterTheTokenHasExpired(t *testing.T) {
	site, h := newSignIn(t)
	in := enter(h, authtest.Password, "", nil).want(t, 303)
	jar := cookies(in)
	site.Clock.Add(2 * time.Hour)
	cookie := http.Header{"Cookie": {jar}}
	send(h, request{method: "GET", path: "/", header: cookie}).want(t, 200).has(t, "Go on as before")
	on := func(header http.Header) page {
		h2 := cookie.Clone()
		for k, v := range header {
			h2[k] = v
		}
		return send(h, request{method: "POST", path: "/continue", form: url.Values{"next": {"/admin/"}}, header: h2})
	}
	on(http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}).want(t, 403)
	p := on(nil).want(t, 303)
	if p.header.Get("Location") != "/admin/" {
		t.Errorf("leads to %q", p.header.Get("Location"))
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", cookies(p))
	w := httptest.NewRecorder()
	site.Auth.RequireRole("administrator")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("the new cookie is answered with %d", w.Code)
	}
	send(h, request{method: "POST", path: "/continue", form: url.Values{"next": {"/admin/"}}}).want(t, 401).has(t, "refresh token is not valid")
}

// cookies are those that an answer sets, as a browser sends them.
func cookies(p page) string {
	var list []string
	for _, line := range p.header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		list = append(list, pair)
	}
	return strings.Join(list, "; ")
}
