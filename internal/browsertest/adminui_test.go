package browsertest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// desk is a site with the pages of adminui: /admin/, /account/ and /signin/.
type desk struct {
	*site
	sink  *authtest.Sink
	hooks *webhook.Dispatcher
	b     *browser
	// scripts says that JavaScript runs.
	scripts bool
}

func newDesk(t *testing.T, scripts bool, change ...func(*jwtauth.Config)) *desk {
	t.Helper()
	d := &desk{site: newSite(t, change...), sink: authtest.NewSink(t), b: launch(t), scripts: scripts}
	d.hooks = d.sendWebhooks(t)
	const login = "/signin/?next={next}"
	admin, err := adminui.New(d.Auth, adminui.Config{LoginURL: login, AccountURL: "/account/", Webhooks: d.hooks, Rotate: d.rotate})
	d.mount(t, "/admin", admin, err)
	account, err := adminui.NewAccount(d.Auth, adminui.AccountConfig{LoginURL: login})
	d.mount(t, "/account", account, err)
	signIn, err := adminui.NewSignIn(d.Auth, adminui.SignInConfig{Next: "/account/"})
	d.mount(t, "/signin", signIn, err)
	return d
}

func (d *desk) mount(t *testing.T, path string, h http.Handler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	d.mux.Handle(path+"/", http.StripPrefix(path, h))
}

func (d *desk) rotate(context.Context) error {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		return err
	}
	return d.Config.Keys.Rotate(key)
}

// sendWebhooks delivers events to the sink until the test ends.
func (d *desk) sendWebhooks(t *testing.T) *webhook.Dispatcher {
	t.Helper()
	secret := webhook.NewSecret()
	cursors, ok := d.Config.Store.(jwtauth.CursorStore)
	if !ok {
		t.Fatal("the store keeps no cursors")
	}
	hooks, err := webhook.New(d.Auth, webhook.Config{Cursors: cursors, Poll: 10 * time.Millisecond, Now: d.Clock.Now, Transport: d.sink.Client().Transport,
		Endpoints: []webhook.Endpoint{{Name: "crm", URL: d.sink.URL, Secrets: []jwtauth.Secret{secret}, Events: []string{"account.*", "register"},
			FromStart: true, InsecureAllowPrivate: true, Ports: []int{port(t, d.sink.URL)}}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hooks.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return hooks
}

// deadLetter makes an event that the sink does not take, and lets the time pass in
// which it is tried. Logins are over then.
func (d *desk) deadLetter(t *testing.T) {
	t.Helper()
	d.sink.Answer(http.StatusServiceUnavailable)
	if err := d.Auth.Disable(t.Context(), d.account(t, "mallory").ID); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		list, err := d.hooks.Status(t.Context())
		return err == nil && list[0].LastError != ""
	}, func() string { return "no attempt failed" })
	d.Clock.Add(73 * time.Hour)
	await(t, func() bool {
		list, err := d.hooks.DeadLetters(t.Context(), "crm", 0, 10)
		return err == nil && len(list) > 0
	}, func() string { return "nothing was given up" })
}

func port(t *testing.T, address string) (n int) {
	t.Helper()
	u, err := url.Parse(address)
	if err == nil {
		_, err = fmt.Sscan(u.Port(), &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// account makes one with the password of authtest.
func (d *desk) account(t *testing.T, name string, roles ...string) jwtauth.User {
	t.Helper()
	u, err := d.Auth.CreateUser(t.Context(), jwtauth.Registration{Username: name, Email: name + "@example.test", Password: password, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// enter is a new browser that signs in on its way to a page.
func (d *desk) enter(t *testing.T, path, login string) *tab {
	t.Helper()
	page := d.b.profile(d.url).tab()
	if !d.scripts {
		send(page, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	page.visit(path)
	page.shows("#error", "You are not signed in")
	page.follow("main a.button", "Sign in")
	page.signIn(login, password)
	page.at(path)
	return page
}

func (t *tab) signIn(login, password string) {
	t.t.Helper()
	t.fill("#sign-in [name=login]", login)
	t.fill("#sign-in [name=password]", password)
	t.click("#sign-in button")
}

// follow clicks what leads to another page, and waits for its title.
func (t *tab) follow(css, title string) {
	t.t.Helper()
	t.click(css)
	t.shows("h1", title)
}

// at waits until the address is that of a path.
func (t *tab) at(path string) {
	t.t.Helper()
	t.until(fmt.Sprintf(`(location.pathname + location.search).startsWith(%s) && document.readyState === "complete"`, quote(path)))
}

// count is how many elements there are.
func (t *tab) count(css string) int {
	t.t.Helper()
	return eval[int](t, fmt.Sprintf(`document.querySelectorAll(%s).length`, quote(css)))
}

// withAndWithoutScripts runs a test twice. The pages must not need JavaScript.
func withAndWithoutScripts(t *testing.T, test func(t *testing.T, scripts bool)) {
	t.Run("with JavaScript", func(t *testing.T) { test(t, true) })
	t.Run("without JavaScript", func(t *testing.T) { test(t, false) })
}

func TestAdminsSeeWhatHappened(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		d.account(t, "ada")
		for range 60 { // more than a page
			if _, err := d.Auth.Issue(t.Context(), d.user(t, "ada").ID); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "ada", Password: "not the password"})
		page := d.enter(t, "/admin/activity", "root")

		page.shows("#events tr.bad", "refused")
		if n := page.count("#events tr[data-event]"); n != 50 {
			t.Errorf("%d events on a page, want 50", n)
		}
		newest := eval[string](page, `document.querySelector("tr[data-event]").dataset.event`)
		page.click("#older")
		page.at("/admin/activity?before=")
		page.shows("#events", "token.issue")
		if n := page.count(`[data-event="` + newest + `"]`); n != 0 {
			t.Error("the next page begins with the newest event again")
		}
		page.click("#newest")
		page.until(`!location.search.includes("before=")`)
		page.shows("#events tr.bad", "refused")

		page.fill("#filter [name=user]", "ada@example.test")
		eval[bool](page, `((document.querySelector("#filter [name=result]").value = "refused"), true)`)
		page.click("#filter button")
		page.at("/admin/activity?user=")
		page.shows("#events", "login")
		if all, bad := page.count("#events tr[data-event]"), page.count("#events tr.bad"); all != 1 || bad != 1 {
			t.Errorf("the filter shows %d events, %d refused, want the one", all, bad)
		}
		page.visit("/admin/activity?result=perhaps")
		page.shows("#error", "result")
	})
}

func TestAdminsEndSessions(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		d.account(t, "ada")
		ada := d.enter(t, "/account/", "ada")
		ada.shows("#sessions", "this one")
		page := d.enter(t, "/admin/users", "root")

		page.fill("#find [name=find]", "ADA@example.test")
		page.click("#find button")
		page.shows("h1", "User ada")
		page.click("#sessions td button")
		page.shows("#status", "ended")
		page.shows("#sessions", "No session is live")
		ada.reload()
		ada.shows("#error", "You are not signed in")

		other := d.enter(t, "/account/", "ada")
		page.visit("/admin/user?id=" + d.user(t, "ada").ID)
		page.click("details.ask summary")
		page.click("#end-all button")
		page.shows("#status", "All sessions were ended.")
		other.reload()
		other.shows("#error", "You are not signed in")

		page.click("#sign-out button")
		page.shows("#status", "This browser is signed out.")
		page.visit("/admin/users")
		page.shows("#error", "You are not signed in")
	})
}

func TestAdminsUnlock(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		d.account(t, "grace")
		for range 6 {
			_, _ = d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "grace", Password: "not the password"})
		}
		grace := d.b.profile(d.url).open("/signin/")
		grace.signIn("grace", password)
		grace.shows("#error", "") // locked, and not told so

		page := d.enter(t, "/admin/locks", "root")
		page.shows("#locks", "grace")
		page.click("#locks td button")
		page.shows("#status", "unlock")
		page.shows("#locks", "No account is locked.")
		grace.signIn("grace", password)
		grace.shows("h1", "Your account")
	})
}

// kid is the id of the key that signed a token.
func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	var header struct{ Kid string }
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(data, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

func TestAdminsRotateTheKey(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		before := authtest.SignIn(t, d.Auth).AccessToken
		page := d.enter(t, "/admin/keys", "root")

		page.shows("#keys tr[data-kid=\""+kid(t, before)+"\"]", "signs")
		page.click("details.ask summary")
		page.click("#rotate button")
		page.shows("#status", "key")
		page.shows("#keys tr[data-kid=\""+kid(t, before)+"\"]", "verifies only")
		if n := page.count("#keys tr[data-kid]"); n != 2 {
			t.Errorf("%d keys, want 2", n)
		}
		after := authtest.SignIn(t, d.Auth).AccessToken
		if kid(t, after) == kid(t, before) {
			t.Error("the old key goes on signing")
		}
		page.shows("#keys tr[data-kid=\""+kid(t, after)+"\"]", "signs")
		for what, token := range map[string]string{"before": before, "after": after} {
			if _, err := d.Auth.Verify(t.Context(), token); err != nil {
				t.Errorf("a token from %s the rotation: %v", what, err)
			}
		}
	})
}

func TestAdminsReplayWebhooks(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		u := d.account(t, "ada")
		if err := d.Auth.Disable(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		page := d.enter(t, "/admin/webhooks", "root")
		await(t, func() bool { return len(d.sink.Hooks()) > 0 }, func() string { return "nothing was delivered" })
		had := len(d.sink.Hooks())

		page.follow("#webhooks a", "Webhook crm")
		page.fill("#replay [name=from]", "1")
		page.click("#replay button")
		page.shows("#status", "The endpoint goes on from there")
		d.Clock.Add(5 * time.Minute) // so that no sender holds the place any more
		await(t, func() bool { return len(d.sink.Hooks()) > had }, func() string { return "nothing was delivered again" })
	})
}

func TestAdminsRedeliverWhatWasGivenUp(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "root", "administrator")
		d.deadLetter(t)
		page := d.enter(t, "/admin/webhooks", "root")
		page.shows("#webhooks tr.bad", "failing")
		page.follow("#webhooks a", "Webhook crm")
		letters := page.count("#letters tr[data-sequence]")

		page.click("#letters td button")
		page.shows("#error", "did not take the event")
		d.sink.Answer(http.StatusNoContent)
		page.visit("/admin/webhook?name=crm")
		page.click("#letters td button")
		page.shows("#status", "The event was delivered.")
		if n := page.count("#letters tr[data-sequence]"); n >= letters {
			t.Errorf("%d dead letters are left of %d", n, letters)
		}
	})
}

func TestUsersSignOutEverywhere(t *testing.T) {
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		d := newDesk(t, scripts)
		d.account(t, "ada")
		one, two, three := d.enter(t, "/account/", "ada"), d.enter(t, "/account/", "ada"), d.enter(t, "/account/", "ada")

		one.reload()
		if n := one.count("#sessions tr[data-session]"); n != 3 {
			t.Errorf("%d devices, want 3", n)
		}
		one.shows("#events", "login")
		one.click("#end-others button")
		one.shows("#status", "")
		one.until(`document.querySelectorAll("#sessions tr[data-session]").length === 1`)
		two.reload()
		two.shows("#error", "You are not signed in")
		four := d.enter(t, "/account/", "ada")
		one.click("#end-all button")
		one.shows("#status", "This browser is signed out.")
		for _, page := range []*tab{two, three, four} {
			page.visit("/account/")
			page.shows("#error", "You are not signed in")
		}
		if n := len(d.sessions(t, "ada")); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestAListRenewsItself(t *testing.T) {
	d := newDesk(t, true)
	d.account(t, "root", "administrator")
	page := d.enter(t, "/admin/activity", "root")
	page.shows("#renew", "Keep this list current")
	d.account(t, "ada")
	if _, err := d.Auth.Issue(t.Context(), d.user(t, "ada").ID); err != nil {
		t.Fatal(err)
	}
	page.click("#renew input")
	page.shows("#renew [role=status]", "There is something new.")
	page.shows("#events", "token.issue")
}

func TestAdminPagesByKeyboard(t *testing.T) {
	d := newDesk(t, true)
	d.account(t, "root", "administrator")
	d.account(t, "ada")
	ada := d.enter(t, "/account/", "ada")
	page := d.b.profile(d.url).open("/signin/?next=/admin/users")
	page.tabTo("#sign-in [name=login]")
	page.press("root")
	page.tabTo("#sign-in [name=password]")
	page.press(password + "\r")
	page.at("/admin/users")

	page.tabTo(".skip")
	page.press("\r")
	page.tabTo("#find [name=find]") // the next one: the menu was skipped
	page.press("ada\r")
	page.at("/admin/user?id=")
	page.shows("#sessions", "End")
	page.tabTo("#sessions td button")
	page.press(" ")
	page.shows("#status", "ended")
	page.tabTo("details.ask summary")
	page.press("\r")
	page.tabTo("#end-all button")
	page.press("\r")
	page.shows("#status", "All sessions were ended.")
	ada.reload()
	ada.shows("#error", "You are not signed in")
}

func TestAdminPagesAreAccessible(t *testing.T) {
	source := axe(t)
	d := newDesk(t, true)
	d.account(t, "root", "administrator")
	ada := d.account(t, "ada")
	d.account(t, "grace")
	d.deadLetter(t)
	for range 6 {
		_, _ = d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "grace", Password: "not the password"})
	}
	agent := jwtauth.WithClient(t.Context(), jwtauth.Client{UserAgent: "Mozilla/5.0 (" + strings.Repeat("X11; Linux x86_64 ", 20) + ") Firefox/140.0",
		DeviceID: strings.Repeat("0123456789", 6)})
	for range 3 {
		if _, err := d.Auth.Login(agent, jwtauth.Credentials{Login: "ada", Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	in := d.b.profile(d.url).open("/signin/")
	in.accessible("signing in", source)
	in.signIn("ada", "not the password")
	in.shows("#error", "")
	in.accessible("signing in, refused", source)

	page := d.enter(t, "/admin/activity", "root")
	page.visit("/signin/")
	page.accessible("signing in again", source)
	for _, path := range []string{
		"/admin/activity", "/admin/activity?result=refused", "/admin/activity?user=nobody", "/admin/activity?result=perhaps",
		"/admin/users", "/admin/users?find=nobody", "/admin/user?id=" + ada.ID, "/admin/user?id=" + d.user(t, "grace").ID,
		"/admin/locks", "/admin/webhooks", "/admin/webhook?name=crm", "/admin/keys", "/admin/system", "/admin/nothing", "/account/",
	} {
		page.visit(path)
		eval[bool](page, `document.querySelectorAll("details").forEach(d => d.open = true) ?? true`)
		page.accessible(path, source)
	}
	page.click("#sign-out button")
	page.shows("#status", "signed out")
	page.accessible("signed out", source)
}

// longTrail has old records besides those of the memory store, which keeps few. It
// notes how much is asked for at once.
type longTrail struct {
	*jwtauth.MemoryStore
	old  []jwtauth.AuditRecord // by ID
	most int
}

// Query implements jwtauth.AuditStore.
func (l *longTrail) Query(ctx context.Context, q jwtauth.AuditQuery) ([]jwtauth.AuditRecord, error) {
	l.most = max(l.most, q.Limit)
	page, err := l.MemoryStore.Query(ctx, q)
	for i := len(l.old) - 1; i >= 0 && err == nil && len(page) < q.Limit; i-- {
		r := l.old[i]
		if (q.Before == "" || r.ID < q.Before) && (q.Name == "" || q.Name == r.Name) && (q.Result == "" || q.Result == r.Result) &&
			q.Subject == "" && len(q.AddressKeys) == 0 && !r.Time.Before(q.From) && (q.To.IsZero() || r.Time.Before(q.To)) {
			page = append(page, r)
		}
	}
	return page, err
}

// ListSessions implements jwtauth.SessionLister.
func (l *longTrail) ListSessions(ctx context.Context, q jwtauth.SessionQuery) ([]jwtauth.Session, int, error) {
	l.most = max(l.most, q.Limit)
	return l.MemoryStore.ListSessions(ctx, q)
}

// seed adds copies of a real record, and sessions of a user.
func (l *longTrail) seed(t *testing.T, d *desk, records, sessions int, owner jwtauth.User) {
	t.Helper()
	_, _ = d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "nobody", Password: "not the password"})
	found, err := l.MemoryStore.Query(t.Context(), jwtauth.AuditQuery{Name: jwtauth.EventLogin, Limit: 1})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d records: %v", len(found), err)
	}
	now := d.Clock.Now()
	for i := range records {
		r := found[0]
		r.ID = fmt.Sprintf("00000000-0000-7000-8000-%012d", i)
		r.Time = now.Add(time.Duration(i-records) * time.Second)
		l.old = append(l.old, r)
	}
	for i := range sessions {
		s := jwtauth.Session{ID: fmt.Sprintf("session-%08d", i), UserID: owner.ID, CredentialVersion: owner.CredentialVersion, Generation: 1,
			SecretID: found[0].Name, Created: now.Add(time.Duration(i-sessions) * time.Second), Moved: now, Expires: now.Add(time.Hour), UserAgent: "x"}
		if _, err := l.CreateSession(t.Context(), s, jwtauth.SessionLimit{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAdminPagesStayUsableWithALot(t *testing.T) {
	const records, sessions = 100_000, 10_000
	l := &longTrail{MemoryStore: jwtauth.NewMemoryStore()}
	d := newDesk(t, true, func(cfg *jwtauth.Config) { cfg.Store = l })
	d.account(t, "root", "administrator")
	owner := d.account(t, "ada")
	l.seed(t, d, records, sessions, owner)
	page := d.enter(t, "/admin/activity", "root")
	l.most = 0 // signing in asks for sessions as well

	for range 3 {
		page.shows("#older", "Older")
		page.small()
		page.click("#older")
		page.at("/admin/activity?")
	}
	day := d.Clock.Now().Add(-24 * time.Hour).Format("2006-01-02T15:04:05")
	page.visit("/admin/activity?to=" + day)
	page.shows("#events", "login")
	page.small()
	page.visit("/admin/activity?before=" + l.old[10].ID)
	if n := page.count("#events tr[data-event]"); n != 10 {
		t.Errorf("the last page has %d events, want 10", n)
	}
	page.visit("/admin/user?id=" + owner.ID)
	page.shows("#sessions caption", "of 10000")
	page.small()
	page.click("#older")
	page.shows("#sessions caption", "51 to 100 of 10000")
	page.small()
	if l.most > 51 {
		t.Errorf("a page asked the store for %d at once", l.most)
	}
}

// small checks that a page has a bounded size.
func (t *tab) small() {
	t.t.Helper()
	if n := t.count("tr"); n > 70 {
		t.t.Errorf("%d rows\n%s", n, t.state())
	}
	if n := eval[int](t, `document.documentElement.outerHTML.length`); n > 150_000 {
		t.t.Errorf("the page has %d characters", n)
	}
}

func TestEveryAnswerOfAdminPagesHasAPolicy(t *testing.T) {
	d := newDesk(t, true)
	for _, path := range []string{"/admin/", "/admin/activity", "/admin/nothing", "/admin/style.css", "/account/", "/signin/", "/signin/app.js"} {
		r, err := http.Get(d.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if p := r.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
			t.Errorf("%s: policy %q", path, p)
		}
	}
}
