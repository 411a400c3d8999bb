package adminui_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// miss tries wrong passwords.
func (d *desk) miss(t testing.TB, name string, times int) {
	t.Helper()
	for range times {
		if _, err := d.Auth.Login(browser(), jwtauth.Credentials{Login: name, Password: "wrong"}); jwtauth.Code(err) != "invalid_credentials" {
			t.Fatalf("a wrong password: %v", err)
		}
	}
}

func TestUnlockUnlocks(t *testing.T) {
	for name, tc := range map[string]struct {
		back  []string
		shows string
	}{
		"from the list of locks":    {nil, "No account is locked."},
		"from the page of the user": {[]string{"back", "user"}, "User ada"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, adminui.Config{})
			ada := d.account(t, "ada").User.ID
			d.get(t, "/locks").has(t, "No account is locked.")
			d.miss(t, "ada", 5)
			same(t, "locked", d.get(t, "/locks").has(t, "ada", "5 in 1 minute").rows("data-user"), []string{ada})
			d.get(t, "/user?id="+ada).has(t, "locked until 2026-01-01 12:01:00")
			if _, err := d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "ada", Password: authtest.Password}); err == nil {
				t.Fatal("a locked account took the right password from a stranger")
			}
			d.post(t, "/unlock", append([]string{"user", ada}, tc.back...)...).has(t, "The account was unlocked.", tc.shows)
			d.login(t, "ada")
			if e := d.last(t, jwtauth.EventUnlock); e.ActorID != d.admin.User.ID || e.UserID != ada {
				t.Errorf("recorded %+v", e)
			}
		})
	}
}

func TestLocksLeaveTheListWhenTheyEnd(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	d.account(t, "ada")
	d.miss(t, "ada", 5)
	d.Clock.Add(61 * time.Second)
	d.get(t, "/locks").has(t, "No account is locked.")
}

func TestRotateRotates(t *testing.T) {
	var keys *jwtauth.KeySet
	dir := t.TempDir()
	rotate := func(context.Context) error {
		_, err := jwtauth.AddKey(dir, "ES256")
		return errors.Join(err, keys.Reload())
	}
	d := newDesk(t, adminui.Config{Rotate: func(ctx context.Context) error { return rotate(ctx) }}, func(cfg *jwtauth.Config) {
		var err error
		if keys, err = jwtauth.OpenKeys(dir, "ES256"); err != nil {
			t.Fatal(err)
		}
		cfg.Keys, cfg.Now = keys, time.Now
	})
	first := d.get(t, "/keys").has(t, "signs", "ES256", "second").rows("data-kid")
	p := d.post(t, "/keys/rotate").has(t, "A new key signs from now on.", "verifies only")
	if got := p.rows("data-kid"); len(got) != 2 || got[1] != first[0] {
		t.Errorf("keys are %v, first there was %v", got, first)
	}
	if e := d.last(t, jwtauth.EventKeyRotate); e.ActorID != d.admin.User.ID || e.Result != jwtauth.ResultOK {
		t.Errorf("recorded %+v", e)
	}
	rotate = func(context.Context) error { return errors.New("the disk at /secret/place is full") }
	p = send(d.ui, request{method: "POST", path: "/keys/rotate", grant: d.admin}).want(t, 503).has(t, "not rotated").lacks(t, "secret/place")
	if e := d.last(t, jwtauth.EventKeyRotate); e.Result != jwtauth.ResultRefused || p.header.Get("Retry-After") == "" {
		t.Errorf("recorded %+v", e)
	}
}

func TestWithoutRotateThereIsNoButton(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	d.get(t, "/keys").lacks(t, "Rotate")
	send(d.ui, request{method: "POST", path: "/keys/rotate", grant: d.admin}).want(t, 404)
	d.get(t, "/activity").lacks(t, "Webhooks")
	send(d.ui, request{method: "GET", path: "/webhooks", grant: d.admin}).want(t, 404)
}

// receiver is a service that gets events. It answers with status.
func receiver(t *testing.T, status *int) (url string, got func() int) {
	t.Helper()
	var n int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.WriteHeader(*status)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() int { return n }
}

// deskWithWebhook has a receiver that is given up on, and its dead letters.
func deskWithWebhook(t *testing.T, status *int) (d *desk, got func() int) {
	t.Helper()
	site := authtest.New(t, func(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true })
	url, got := receiver(t, status)
	hooks, err := webhook.New(site.Auth, webhook.Config{Cursors: site.Config.Store, Logger: site.Config.Logger, Now: site.Clock.Now,
		Endpoints: []webhook.Endpoint{{Name: "crm", URL: url + "/hook?key=canary-in-the-url", Secrets: []jwtauth.Secret{webhook.NewSecret()}, InsecureAllowHTTP: true, InsecureAllowPrivate: true}}})
	if err != nil {
		t.Fatal(err)
	}
	var _ adminui.Webhooks = hooks
	ui, err := adminui.New(site.Auth, adminui.Config{Webhooks: hooks, Logger: site.Config.Logger})
	if err != nil {
		t.Fatal(err)
	}
	d = &desk{Site: site, ui: ui}
	d.admin = d.account(t, "root", "administrator")
	d.account(t, "ada")
	if _, err := d.Auth.Follow(t.Context(), 0, 1); err != nil { // seals what there is
		t.Fatal(err)
	}
	for sequence := range int64(2) {
		err := site.Config.Store.PutDeadLetter(t.Context(), jwtauth.DeadLetter{Cursor: "webhook.crm", Sequence: sequence + 1,
			EventID: "e", Reason: "answered <500>", Time: site.Clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
	}
	return d, got
}

func TestDeadLettersAreRedelivered(t *testing.T) {
	status := 500
	d, got := deskWithWebhook(t, &status)
	d.get(t, "/webhooks").has(t, "crm", "2").lacks(t, "canary")
	same(t, "letters", d.get(t, "/webhook?name=crm").has(t, "answered <500>").lacks(t, "canary").rows("data-sequence"), []string{"1", "2"})

	send(d.ui, request{method: "POST", path: "/webhook/redeliver", form: form("name", "crm", "sequence", "1"), grant: d.admin}).
		want(t, 503).has(t, "did not take the event").lacks(t, "canary")
	if e := d.last(t, jwtauth.EventWebhookRedeliver); e.Result != jwtauth.ResultRefused {
		t.Errorf("recorded %+v", e)
	}
	status = 204
	p := d.post(t, "/webhook/redeliver", "name", "crm", "sequence", "1").has(t, "The event was delivered.")
	same(t, "letters", p.rows("data-sequence"), []string{"2"})
	if e := d.last(t, jwtauth.EventWebhookRedeliver); e.Result != jwtauth.ResultOK || e.ActorID != d.admin.User.ID {
		t.Errorf("recorded %+v", e)
	}
	if got() != 2 {
		t.Errorf("the receiver was asked %d times", got())
	}
	for name, tc := range map[string]struct {
		path   string
		pairs  []string
		status int
	}{
		"unknown endpoint":         {"/webhook/redeliver", []string{"name", "other", "sequence", "1"}, 404},
		"event that is none":       {"/webhook/redeliver", []string{"name", "crm", "sequence", "x"}, 400},
		"event without a number":   {"/webhook/redeliver", []string{"name", "crm"}, 400},
		"event that was purged":    {"/webhook/redeliver", []string{"name", "crm", "sequence", "9999"}, 404},
		"replay from nowhere":      {"/webhook/replay", []string{"name", "crm", "from", "0"}, 400},
		"replay for an unknown":    {"/webhook/replay", []string{"name", "other", "from", "1"}, 404},
		"page of an unknown":       {"/webhook?name=other", nil, 404},
		"page that starts nowhere": {"/webhook?name=crm&after=x", nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			q := request{method: "POST", path: tc.path, form: form(tc.pairs...), grant: d.admin}
			if tc.pairs == nil {
				q.method, q.form = "GET", nil
			}
			secured(t, send(d.ui, q).want(t, tc.status))
		})
	}
}

func TestReplayMovesTheCursor(t *testing.T) {
	status := 204
	d, _ := deskWithWebhook(t, &status)
	d.post(t, "/webhook/replay", "name", "crm", "from", "2").has(t, "The endpoint goes on from there")
	cursors, err := d.Config.Store.Cursors(t.Context())
	if err != nil || len(cursors) != 1 || cursors[0].Sequence != 1 {
		t.Errorf("cursors are %+v, %v", cursors, err)
	}
	if e := d.last(t, jwtauth.EventWebhookReplay); e.ActorID != d.admin.User.ID {
		t.Errorf("recorded %+v", e)
	}
}

func TestSystemShowsSettingsAndNoSecret(t *testing.T) {
	const canary = "canary-4fb2a90c7de1358640fa9b27c6d1"
	d := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) {
		cfg.Secret, cfg.OldSecrets = []byte("new-"+canary), [][]byte{[]byte("old-" + canary)}
		cfg.Access.Codes = []jwtauth.AuthCode{{Code: canary}}
		key, err := jwtauth.HS256("kid-1", []byte("key-"+canary))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Keys, err = jwtauth.NewKeySet(key); err != nil {
			t.Fatal(err)
		}
	})
	d.get(t, "/system").has(t, "Tokens.TTL 1 h", "Everything answers.", "Requests are not limited.", "Access.Codes 1 set", "HS256 kid-1 (signs)")
	d.account(t, "ada")
	for _, path := range []string{"/system", "/keys", "/activity", "/users", "/user?id=1", "/user?id=2", "/locks"} {
		p := d.get(t, path)
		secured(t, p)
		for _, secret := range []string{canary, "$argon2id$", d.admin.AccessToken, d.admin.RefreshToken, string(d.admin.DeviceToken), authtest.Password} {
			if strings.Contains(p.text, secret) {
				t.Errorf("%s shows a secret: %s", path, secret)
			}
		}
	}
}

func TestActionsAndReadsAreRecorded(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	ada := d.account(t, "ada").User.ID
	for path, event := range map[string]string{"/activity": jwtauth.EventReadAudit, "/users": jwtauth.EventReadAccounts, "/user?id=" + ada: jwtauth.EventReadAccount} {
		d.get(t, path)
		d.get(t, path) // is not recorded again
		list, err := d.Auth.Events(t.Context(), jwtauth.EventFilter{Name: event})
		if err != nil || len(list) != 1 || list[0].ActorID != d.admin.User.ID {
			t.Errorf("%s left %+v, %v", path, list, err)
		}
	}
	send(d.ui, request{method: "GET", path: "/activity", grant: d.account(t, "eve")}).want(t, 403)
	if e := d.last(t, jwtauth.EventAccess); e.Reason != "rest_forbidden" {
		t.Errorf("recorded %+v", e)
	}
}

func TestSignOutEndsTheSession(t *testing.T) {
	d := newDesk(t, adminui.Config{LoginURL: "/signin/?next={next}"})
	p := send(d.ui, request{method: "POST", path: "/sign-out", grant: d.admin}).want(t, 200).has(t, "signed out")
	secured(t, p)
	if cookies := p.header.Values("Set-Cookie"); len(cookies) != 2 || !strings.Contains(cookies[0], "Max-Age=0") {
		t.Errorf("cookies are %q", cookies)
	}
	send(d.ui, request{method: "GET", path: "/activity", grant: d.admin}).want(t, 401)
}

func TestNewRefuses(t *testing.T) {
	site := authtest.New(t)
	for name, cfg := range map[string]adminui.Config{
		"LoginURL that runs a script":   {LoginURL: "javascript:alert(1)"},
		"LoginURL without a slash":      {LoginURL: "signin"},
		"LoginURL of an unnamed host":   {LoginURL: "//evil.example/"},
		"LoginURL with a backslash":     {LoginURL: `/\evil.example/`},
		"LoginURL with user info":       {LoginURL: "https://a:b@example.com/"},
		"AccountURL that runs a script": {AccountURL: "javascript:alert(1)"},
		"AllowIPs that are none":        {AllowIPs: []string{"everybody"}},
	} {
		if h, err := adminui.New(site.Auth, cfg); err == nil || h != nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := adminui.New(nil, adminui.Config{}); err == nil {
		t.Error("no Auth is accepted")
	}
	if _, err := adminui.NewSignIn(site.Auth, adminui.SignInConfig{Next: "/"}); err == nil {
		t.Error("a form without cookies is accepted")
	}
}

func TestOtherAddressesAreRefused(t *testing.T) {
	d := newDesk(t, adminui.Config{AllowIPs: []string{"10.0.0.0/8"}})
	send(d.ui, request{method: "GET", path: "/activity", grant: d.admin}).want(t, 403)
	if e := d.last(t, jwtauth.EventAccess); e.Result != jwtauth.ResultRefused {
		t.Errorf("recorded %+v", e)
	}
}

func TestRolesOfTheConfigDecide(t *testing.T) {
	d := newDesk(t, adminui.Config{Roles: []string{"auditor", "chief"}})
	send(d.ui, request{method: "GET", path: "/activity", grant: d.admin}).want(t, 403)
	send(d.ui, request{method: "GET", path: "/activity", grant: d.account(t, "chris", "chief")}).want(t, 200)
	byAudit := newDesk(t, adminui.Config{}, func(cfg *jwtauth.Config) { cfg.Audit.Roles = []string{"auditor"} })
	send(byAudit.ui, request{method: "GET", path: "/activity", grant: byAudit.account(t, "anna", "auditor")}).want(t, 200)
}

func TestEveryoneGetsTheAssets(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	for path, media := range map[string]string{"/style.css": "text/css; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml"} {
		p := send(d.ui, request{method: "GET", path: path}).want(t, 200)
		if p.header.Get("Content-Type") != media || p.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v", path, p.header)
		}
		send(d.ui, request{method: "POST", path: path}).want(t, 405)
	}
	if strings.Contains(send(d.ui, request{method: "GET", path: "/style.css"}).text, "url(") {
		t.Error("the style loads something")
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	send(d.ui, request{method: "HEAD", path: "/activity", grant: d.admin}).want(t, 200)
	p := send(d.ui, request{method: "DELETE", path: "/activity", grant: d.admin}).want(t, 405)
	if allow := p.header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow: %q", allow)
	}
	p = send(d.ui, request{method: "GET", path: "/unlock", grant: d.admin}).want(t, 405)
	if allow := p.header.Get("Allow"); allow != "POST" {
		t.Errorf("Allow: %q", allow)
	}
}

func TestNothingChangesByGET(t *testing.T) {
	d := newDesk(t, adminui.Config{Rotate: func(context.Context) error { t.Error("rotated by GET"); return nil }})
	for _, path := range []string{"/user/end-session", "/user/end-all", "/unlock", "/keys/rotate", "/sign-out"} {
		for _, method := range []string{"GET", "HEAD"} {
			if p := send(d.ui, request{method: method, path: path + "?user=1&session=x", grant: d.admin}); p.status != 405 {
				t.Errorf("%s %s: %d", method, path, p.status)
			}
		}
	}
	if !slices.Equal(d.get(t, "/user?id=1").rows("data-session"), []string{d.admin.Session.ID}) {
		t.Error("the session is gone")
	}
}
