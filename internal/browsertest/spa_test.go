package browsertest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
)

const password = authtest.Password

// inEachMode runs a test in cookie mode and in bearer mode, with a path to the page.
func inEachMode(t *testing.T, test func(t *testing.T, b *browser, path string)) {
	for _, mode := range []string{"cookie", "bearer"} {
		t.Run(mode, func(t *testing.T) { test(t, launch(t), "/spa/?mode="+mode) })
	}
}

func (t *tab) logIn(login, password string) {
	t.t.Helper()
	t.fill("#login [name=username]", login)
	t.fill("#login [name=password]", password)
	t.click("#login button")
}

func (t *tab) register(login string) {
	t.t.Helper()
	t.fill("#register [name=username]", login)
	t.fill("#register [name=email]", login+"@example.test")
	t.fill("#register [name=password]", password)
	t.click("#register button")
	t.shows("#me-login", login)
}

func TestAnAccountFromRegistrationToSignOut(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		page := b.profile(s.url).open(path)

		page.register("ada")
		page.shows("#status", "You are logged in.")
		page.shows("#me-email", "ada@example.test")
		page.shows("#devices", "(this one)")
		page.reload()
		page.shows("#me-login", "ada")

		page.click("#leave")
		page.shows("#status", "You are signed out.")
		page.hides("#signed-in")
		if n := len(s.sessions(t, "ada")); n != 0 {
			t.Errorf("%d sessions are left on the server", n)
		}
		page.reload()
		page.shows("#title", "Log in or register")

		page.logIn("ada", "not the password")
		page.shows("[role=alert]", "The user name or the password is wrong.")
		page.hides("#signed-in")
		page.logIn("ada@example.test", password)
		page.shows("#me-login", "ada")
		page.hides("[role=alert]:not(:empty)")
	})
}

// twoTabs registers ada and opens the page a second time.
func twoTabs(t *testing.T, s *site, b *browser, path string, before string) (*tab, *tab) {
	t.Helper()
	p := b.profile(s.url)
	var tabs [2]*tab
	for i := range tabs {
		tabs[i] = p.tab()
		if before != "" {
			tabs[i].beforeScripts(before)
		}
		tabs[i].visit(path)
		if i == 0 {
			tabs[i].register("ada")
		}
		tabs[i].shows("#me-login", "ada")
	}
	return tabs[0], tabs[1]
}

// moved checks that a session has moved on once, without suspicion, and that both
// tabs have what comes after, also when what came before is dead.
func moved(t *testing.T, s *site, tabs ...*tab) {
	t.Helper()
	for _, page := range tabs {
		page.shows("#status", "The tokens are new.")
	}
	if g := s.session(t, "ada").Generation; g != 2 {
		t.Errorf("the session is at generation %d, want 2: one successor", g)
	}
	s.Clock.Add(time.Minute) // past the grace window
	for _, page := range tabs {
		page.click("#reload")
		page.shows("#status", "This is how it is now.")
	}
	if n := s.requests(refreshPath); n > 2 {
		t.Errorf("%d requests to refresh: a tab had been left behind", n)
	}
	if n := s.events(t, jwtauth.EventReuse, ""); n != 0 {
		t.Errorf("%d times the server saw a token used twice", n)
	}
}

func TestTwoTabsThatRefreshAtOnceTakeTurns(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		one, two := twoTabs(t, s, b, path, "")

		g := s.hold(t, refreshPath)
		one.click("#refresh")
		g.wait(t, 1)
		two.click("#refresh")
		two.until(`navigator.locks.query().then(q => q.pending.length === 1)`)
		g.release()

		moved(t, s, one, two)
		if n := s.requests(refreshPath); n != 1 {
			t.Errorf("%d requests to refresh, want 1 for both", n)
		}
	})
}

func TestTwoTabsThatRefreshAtOnceWithoutLocksConverge(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		one, two := twoTabs(t, s, b, path, "delete Navigator.prototype.locks")

		g := s.hold(t, refreshPath)
		one.click("#refresh")
		two.click("#refresh")
		g.wait(t, 2) // both present the same token
		g.release()

		moved(t, s, one, two)
	})
}

func TestTabsRefreshInTheBackground(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t, func(cfg *jwtauth.Config) { cfg.Tokens.TTL = 4 * time.Second })
		one, two := twoTabs(t, s, b, path, "")
		g := s.hold(t, refreshPath)
		g.wait(t, 1) // nobody asked for it
		g.release()
		g.wait(t, 2)
		for _, page := range []*tab{one, two} {
			page.click("#reload")
			page.shows("#status", "This is how it is now.")
			page.visit("/spa/nothing") // so that it refreshes no more
		}
		generation, refreshed := s.session(t, "ada").Generation, s.events(t, jwtauth.EventRefresh, jwtauth.ResultOK)
		if generation < 3 || int64(refreshed) != generation-1 {
			t.Errorf("%d refreshes led to generation %d", refreshed, generation)
		}
		if n := s.events(t, jwtauth.EventReuse, ""); n != 0 {
			t.Errorf("%d times the server saw a token used twice", n)
		}
	})
}

func TestSigningOutEverywhere(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		one, two := twoTabs(t, s, b, path, "")
		other := b.profile(s.url).open(path)
		other.logIn("ada", password)
		other.shows("#me-login", "ada")

		one.click("#leave-everywhere")
		one.shows("#status", "You are signed out everywhere.")
		two.shows("[role=alert]", "You signed out in another tab.")
		two.hides("#signed-in")
		other.click("#reload")
		other.shows("[role=alert]", "You are signed out.")
		other.hides("#signed-in")
		if n := len(s.sessions(t, "ada")); n != 0 {
			t.Errorf("%d sessions are left", n)
		}

		two.logIn("ada", password) // a login shows in the other tab as well
		two.shows("#me-login", "ada")
		one.shows("#me-login", "ada")
	})
}

func TestEndingAnotherDevice(t *testing.T) {
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		one := b.profile(s.url).open(path)
		one.register("ada")
		other := b.profile(s.url).open(path)
		other.logIn("ada", password)
		other.shows("#me-login", "ada")

		one.click("#reload")
		one.click("#devices button")
		one.shows("#status", "That session has ended.")
		other.click("#reload")
		other.shows("[role=alert]", "You are signed out.")
		one.click("#reload")
		one.shows("#me-login", "ada")
	})
}

// A tab that comes back with tokens which the session has left behind must not present
// them: it would look like theft.
func TestATabThatWasLeftBehindDoesNotLookLikeTheft(t *testing.T) {
	s := newSite(t)
	p := launch(t).profile(s.url)
	page := p.open("/spa/?mode=bearer")
	page.register("ada")
	old := eval[string](page, `sessionStorage.getItem("jwtauth-spa-bearer")`)
	page.click("#refresh")
	page.shows("#status", "The tokens are new.")
	page.visit("/spa/nothing")
	eval[bool](page, `sessionStorage.setItem("jwtauth-spa-bearer", `+quote(old)+`) ?? true`)
	s.Clock.Add(time.Minute)

	page.visit("/spa/?mode=bearer")
	page.shows("[role=alert]", "The session went on in a tab that is gone.")
	if n := s.events(t, jwtauth.EventReuse, ""); n != 0 {
		t.Errorf("%d times the server saw a token used twice", n)
	}
	if g := s.session(t, "ada").Generation; g != 2 {
		t.Errorf("the session is at generation %d", g)
	}
}

func TestTokensStayWhereTheModeSays(t *testing.T) {
	b := launch(t)
	s := newSite(t)
	for _, tt := range []struct{ mode, cookies, tokens string }{
		{"cookie", "no", "no"}, {"bearer", "no", "session"},
	} {
		page := b.profile(s.url).open("/spa/?mode=" + tt.mode)
		page.register(tt.mode)
		if c := eval[string](page, `document.cookie`); c != "" {
			t.Errorf("%s: scripts read the cookies %s", tt.mode, c)
		}
		stored := eval[string](page, `JSON.stringify(localStorage)`)
		if strings.Contains(stored, "jr1.") || strings.Contains(stored, "eyJ") {
			t.Errorf("%s: localStorage has tokens: %s", tt.mode, stored)
		}
		inTab := strings.Contains(eval[string](page, `JSON.stringify(sessionStorage)`), "jr1.")
		if inTab != (tt.tokens == "session") {
			t.Errorf("%s: tokens in sessionStorage: %v", tt.mode, inTab)
		}
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	t.Run("too many tries", func(t *testing.T) {
		s := newSite(t, func(cfg *jwtauth.Config) {
			cfg.Limits.Disabled = false
			cfg.Limits.Login = jwtauth.Rule{Limit: 1, Per: time.Minute}
		})
		page := launch(t).profile(s.url).open("/spa/")
		page.logIn("nobody", password)
		page.shows("[role=alert]", "is wrong")
		page.logIn("nobody", password)
		page.shows("[role=alert]", "That was too often. Try again in 60 seconds.")
		page.shows("#login button[aria-disabled]", "Log in (")
		page.click("#login button") // does nothing before its time
		if n := s.requests("/auth/token"); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
	t.Run("a busy server", func(t *testing.T) {
		s := newSite(t)
		u := authtest.NewUser(t, s.Auth)
		s.answer("/auth/token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "2")
			http.Error(w, `{"code":"overloaded","message":"x","data":{"status":503}}`, http.StatusServiceUnavailable)
		}))
		page := launch(t).profile(s.url).open("/spa/")
		page.logIn(u.Login, password)
		page.shows("[role=alert]", "The server is busy. Try again in 2 seconds.")
		s.clear("/auth/token")
		page.hides("[role=alert]:not(:empty)") // the time is over
		page.click("#login button")
		page.shows("#me-login", u.Login)
	})
	t.Run("a disabled account", func(t *testing.T) {
		s := newSite(t)
		u := authtest.NewUser(t, s.Auth)
		if err := s.Auth.Disable(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		page := launch(t).profile(s.url).open("/spa/")
		page.logIn(u.Login, password)
		page.shows("[role=alert]", "This is not allowed.")
	})
	t.Run("no sign-out that did not happen", func(t *testing.T) {
		s := newSite(t)
		page := launch(t).profile(s.url).open("/spa/")
		page.register("ada")
		s.answer("/auth/token/revoke", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code":"store_unavailable","message":"x","data":{"status":503}}`, http.StatusServiceUnavailable)
		}))
		page.click("#leave")
		page.shows("[role=alert]", "The server is busy. Try again in a moment.")
		page.shows("#me-login", "ada")
		s.clear("/auth/token/revoke")
		page.click("#leave")
		page.shows("#status", "You are signed out.")
	})
}

func TestKeyboardAlone(t *testing.T) {
	s := newSite(t)
	u := authtest.NewUser(t, s.Auth)
	page := launch(t).profile(s.url).open("/spa/")
	page.shows("#login", "Log in")
	page.tabTo("#login [name=username]")
	page.press(u.Login)
	page.tabTo("#login [name=password]")
	page.press(password + "\r")
	page.shows("#me-login", u.Login)
	if on := eval[string](page, `document.activeElement.id`); on != "title" {
		t.Errorf("the focus is on %q, want the title of what came", on)
	}
	page.tabTo("#refresh")
	page.press("\r")
	page.shows("#status", "The tokens are new.")
	if on := eval[string](page, `document.activeElement.id`); on != "refresh" {
		t.Errorf("the focus is on %q, want the button that was pressed", on)
	}
	page.tabTo("#leave")
	page.press(" ")
	page.shows("#status", "You are signed out.")
}

func TestSPAIsAccessible(t *testing.T) {
	source := axe(t)
	inEachMode(t, func(t *testing.T, b *browser, path string) {
		s := newSite(t)
		u := authtest.NewUser(t, s.Auth)
		p := b.profile(s.url)
		page := p.open(path)
		page.shows("#login", "Log in")
		page.accessible("signed out", source)
		page.logIn(u.Login, "not the password")
		page.shows("[role=alert]", "is wrong")
		page.accessible("refused", source)
		other := b.profile(s.url).open(path)
		other.logIn(u.Login, password)
		other.shows("#me-login", u.Login)
		page.logIn(u.Login, password)
		page.shows("#devices button", "End")
		page.accessible("signed in", source)
	})
}

func TestThePolicyAllowsNothingElse(t *testing.T) {
	s := newSite(t)
	r, err := http.Get(s.url + "/spa/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	policy := r.Header.Get("Content-Security-Policy")
	for _, directive := range []string{"default-src 'none'", "script-src 'sha256-", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("the policy lacks %s: %s", directive, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy allows too much: %s", policy)
	}
}
