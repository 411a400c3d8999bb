package adminui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
	"github.com/go-jwtauth/jwtauth/authtest"
)

func TestPagesRefuse(t *testing.T) {
	d := newDesk(t, adminui.Config{LoginURL: "/signin/?next={next}"})
	d.account(t, "member")
	d.account(t, "gone", "administrator")
	expired := d.account(t, "late", "administrator")
	d.Clock.Add(2 * time.Hour)
	d.admin = d.login(t, "root")
	member, revoked := d.login(t, "member"), d.login(t, "gone")
	if err := d.Auth.RevokeUser(t.Context(), revoked.User.ID); err != nil {
		t.Fatal(err)
	}
	cross := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	for _, tc := range []struct {
		name   string
		q      request
		status int
		words  string
	}{
		{"anonymous caller refused", request{method: "GET", path: "/activity"}, 401, "Please sign in"},
		{"anonymous caller refused before an address is looked up", request{method: "GET", path: "/nothing"}, 401, "Please sign in"},
		{"anonymous form refused", request{method: "POST", path: "/user/end-all", form: form("user", "1")}, 401, "Please sign in"},
		{"expired login refused", request{method: "GET", path: "/activity", grant: expired}, 401, "your login has expired"},
		{"revoked login refused", request{method: "GET", path: "/activity", grant: revoked}, 401, "Please sign in"},
		{"forged token refused", request{method: "GET", path: "/activity", header: http.Header{"Authorization": {"Bearer x.y.z"}}}, 401, "Please sign in"},
		{"wrong role refused", request{method: "GET", path: "/activity", grant: member}, 403, "not allowed"},
		{"wrong role in the header refused", request{method: "GET", path: "/activity", grant: member, bearer: true}, 403, "not allowed"},
		{"wrong role refused before an address is looked up", request{method: "GET", path: "/nothing", grant: member}, 403, "not allowed"},
		{"form from another site refused", request{method: "POST", path: "/user/end-all", form: form("user", "1"), grant: d.admin, header: cross}, 403, "Another site"},
		{"form from another site with a header refused", request{method: "POST", path: "/user/end-all", form: form("user", "1"), grant: d.admin, bearer: true, header: cross}, 403, "Another site"},
		{"form of a sister site refused", request{method: "POST", path: "/user/end-all", form: form("user", "1"), grant: d.admin,
			header: http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.example.test"}}}, 403, "Another site"},
		{"unknown address", request{method: "GET", path: "/nothing", grant: d.admin}, 404, "Nothing here"},
		{"another spelling of an address", request{method: "GET", path: "/x/../activity", grant: d.admin}, 404, "Nothing here"},
		{"escaped address", request{method: "GET", path: "/%61ctivity%2F", grant: d.admin}, 404, "Nothing here"},
		{"wrong method", request{method: "PUT", path: "/activity", grant: d.admin}, 405, "does not answer"},
		{"action by GET", request{method: "GET", path: "/user/end-all?user=1", grant: d.admin}, 405, "does not answer"},
		{"unknown parameter", request{method: "GET", path: "/activity?usr=1", grant: d.admin}, 400, "does not know"},
		{"parameter given twice", request{method: "GET", path: "/activity?user=1&user=2", grant: d.admin}, 400, "twice"},
		{"broken query", request{method: "GET", path: "/activity?user=%zz", grant: d.admin}, 400, "can’t be read"},
		{"time that is none", request{method: "GET", path: "/activity?from=yesterday", grant: d.admin}, 400, "from"},
		{"address that is none", request{method: "GET", path: "/activity?address=home", grant: d.admin}, 400, "not an address"},
		{"result that is none", request{method: "GET", path: "/activity?result=maybe", grant: d.admin}, 400, "result"},
		{"page that is none", request{method: "GET", path: "/activity?before=1", grant: d.admin}, 400, "not the id of an event"},
		{"message that is none", request{method: "GET", path: "/activity?done=hacked", grant: d.admin}, 400, "done"},
		{"page of users that is none", request{method: "GET", path: "/users?after=99", grant: d.admin}, 400, "after"},
		{"offset that is none", request{method: "GET", path: "/user?id=1&offset=-1", grant: d.admin}, 400, "offset"},
		{"user that is none", request{method: "GET", path: "/user?id=99", grant: d.admin}, 404, "no such account"},
		{"form that is JSON", request{method: "POST", path: "/user/end-all", body: `{"user":"1"}`, grant: d.admin,
			header: http.Header{"Content-Type": {"application/json"}}}, 415, "not a form"},
		{"form with a query", request{method: "POST", path: "/user/end-all?user=1", form: form("user", "1"), grant: d.admin}, 400, "belong into the form"},
		{"form that is too large", request{method: "POST", path: "/user/end-all", body: "user=" + strings.Repeat("1", 20<<10), grant: d.admin}, 413, "too large"},
		{"field given twice", request{method: "POST", path: "/user/end-all", body: "user=1&user=2", grant: d.admin}, 400, "twice"},
		{"unknown field", request{method: "POST", path: "/user/end-all", body: "user=1&x=2", grant: d.admin}, 400, "does not know"},
		{"end of an unknown user's sessions", request{method: "POST", path: "/user/end-all", form: form("user", "99"), grant: d.admin}, 404, "no such record"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := send(d.ui, tc.q).want(t, tc.status).has(t, tc.words)
			secured(t, p)
			if tc.status == 405 && p.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
			if tc.status == 401 && p.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

// secured checks the headers of every answer.
func secured(t testing.TB, p page) {
	t.Helper()
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if csp := p.header.Get("Content-Security-Policy"); csp != policy && csp != policy+"; connect-src 'self'" {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := p.header.Get(name); got != value {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, word := range []string{"<script>", "style=", "<style", " onclick", "javascript:", "http://", "//cdn"} {
		if strings.Contains(p.text, word) {
			t.Errorf("the page has %q", word)
		}
	}
}

func TestEndingASessionKillsIt(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	ada := d.account(t, "ada")
	d.Clock.Add(time.Second)
	other := d.login(t, "ada")
	user := "/user?id=" + ada.User.ID
	same(t, "sessions", d.get(t, user).has(t, "Firefox on Linux", "1 to 2 of 2").rows("data-session"), []string{other.Session.ID, ada.Session.ID})

	p := d.post(t, "/user/end-session", "user", ada.User.ID, "session", ada.Session.ID).has(t, "The session was ended.")
	same(t, "sessions", p.rows("data-session"), []string{other.Session.ID})
	if _, err := d.Auth.Verify(t.Context(), ada.AccessToken); err == nil {
		t.Error("the token of an ended session is accepted")
	}
	if _, err := d.Auth.Verify(t.Context(), other.AccessToken); err != nil {
		t.Errorf("the other session ended as well: %v", err)
	}
	if e := d.last(t, jwtauth.EventSessionEnd); e.ActorID != d.admin.User.ID || e.UserID != ada.User.ID || e.SessionID != ada.Session.ID {
		t.Errorf("recorded %+v", e)
	}
	d.post(t, "/user/end-session", "user", ada.User.ID, "session", ada.Session.ID).has(t, "over already")
	d.post(t, "/user/end-session", "user", ada.User.ID, "session", d.admin.Session.ID).has(t, "over already")

	d.post(t, "/user/end-all", "user", ada.User.ID).has(t, "All sessions were ended.", "No session is live")
	if _, err := d.Auth.Verify(t.Context(), other.AccessToken); err == nil {
		t.Error("a token is accepted after all sessions were ended")
	}
	if e := d.last(t, jwtauth.EventRevoke); e.ActorID != d.admin.User.ID || e.UserID != ada.User.ID {
		t.Errorf("recorded %+v", e)
	}
}

func TestActivityIsFiltered(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	ada := d.account(t, "ada")
	from := d.Clock.Now()
	d.Clock.Add(time.Minute)
	if _, err := d.Auth.Login(t.Context(), jwtauth.Credentials{Login: "ada", Password: "wrong"}); err == nil {
		t.Fatal("logged in with a wrong password")
	}
	d.Clock.Add(time.Minute)
	for _, tc := range []struct{ name, query, has, lacks string }{
		{"everything", "", "login refused", "No event"},
		{"by user id", "?user=" + ada.User.ID, "ada", "register ok root"},
		{"by user name", "?user=ADA", "ada", "register ok root"},
		{"by e-mail address", "?user=ada%40example.test", "ada", "register ok root"},
		{"by unknown user", "?user=nobody", "No account is called like this", "register ok"},
		{"by event", "?event=register", "register ok", "login refused"},
		{"by result", "?result=refused", "invalid_credentials", "register ok"},
		{"by time", "?from=" + from.Add(30*time.Second).Format("2006-01-02T15:04:05"), "login refused", "register ok"},
		{"by time, until", "?to=" + from.Add(time.Minute).Format("2006-01-02T15:04"), "register ok", "login refused"},
		{"by address", "?address=192.0.2.99", "No event matches", "register ok"},
		{"empty fields ask for nothing", "?user=&event=&result=&address=&from=&to=", "login refused", "No event"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d.get(t, "/activity"+tc.query).has(t, tc.has).lacks(t, tc.lacks)
		})
	}
	if !strings.Contains(d.get(t, "/activity?result=refused").text, `class="bad"`) {
		t.Error("a failure does not stand out")
	}
}

func TestActivityIsPaged(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	for range 120 {
		d.login(t, "root")
	}
	seen := map[string]bool{}
	at, pages := "/activity?event=login", 0
	for at != "" {
		p := d.get(t, at)
		for _, id := range p.rows("data-event") {
			if seen[id] {
				t.Fatalf("event %s is shown twice", id)
			}
			seen[id] = true
		}
		pages++
		older := p.link("older")
		if older == "" {
			break
		}
		at = resolve(t, at, older)
	}
	if len(seen) != 120 || pages != 3 {
		t.Errorf("%d events on %d pages", len(seen), pages)
	}
}

// link is where the anchor with an id leads.
func (p page) link(id string) string {
	_, rest, found := strings.Cut(p.text, `id="`+id+`" href="`)
	if !found {
		return ""
	}
	ref, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(ref, "&amp;", "&")
}

func TestUsersAreListedAndFound(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	for _, name := range []string{"ada", "bob"} {
		d.account(t, name)
	}
	same(t, "users", d.get(t, "/users").rows("data-user"), []string{"1", "2", "3"})
	for find, id := range map[string]string{"2": "2", "Ada": "2", "bob@EXAMPLE.test": "3"} {
		p := send(d.ui, request{method: "GET", path: "/users?find=" + find, grant: d.admin}).want(t, 303)
		if got := resolve(t, "/users", p.header.Get("Location")); got != "/user?id="+id {
			t.Errorf("finding %q leads to %s", find, got)
		}
	}
	d.get(t, "/users?find=nobody").has(t, "No account is called like this")
	d.get(t, "/user?id=2").has(t, "ada@example.test", "subscriber", "not confirmed", "active")
}

func TestItWorksBelowAnyPrefix(t *testing.T) {
	d := newDesk(t, adminui.Config{})
	mux := http.NewServeMux()
	mux.Handle("/a/b/admin/", http.StripPrefix("/a/b/admin", d.ui))
	// Every link and form of each page leads to something below the prefix.
	todo, done := []string{"/a/b/admin/"}, map[string]bool{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if done[at] {
			continue
		}
		done[at] = true
		p := send(mux, request{method: "GET", path: at, grant: d.admin})
		if p.status == 303 {
			todo = append(todo, resolve(t, at, p.header.Get("Location")))
			continue
		}
		p.want(t, 200)
		for _, attribute := range []string{"href", "src", "action"} {
			for _, ref := range p.rows(attribute) {
				to := resolve(t, at, ref)
				if !strings.HasPrefix(to, "/a/b/admin/") {
					t.Errorf("%s leads to %s", at, to)
				}
				if attribute != "action" && !strings.Contains(ref, "#") {
					todo = append(todo, to)
				}
			}
		}
	}
	if !done["/a/b/admin/user?id=1"] || !done["/a/b/admin/style.css"] {
		t.Errorf("not reached: %v", done)
	}
	for from, to := range map[string]string{"/a/b/admin/users/": "/a/b/admin/users", "/a/b/admin": "/a/b/admin/"} {
		p := send(mux, request{method: "GET", path: from, grant: d.admin})
		if got := resolve(t, from, p.header.Get("Location")); p.status/100 != 3 || got != to {
			t.Errorf("%s leads to %s (%d)", from, got, p.status)
		}
	}
	bare := http.StripPrefix("/admin", d.ui)
	p := send(bare, request{method: "GET", path: "/admin", grant: d.admin})
	if got := resolve(t, "/admin", p.header.Get("Location")); got != "/admin/" {
		t.Errorf("without a slash it leads to %s", got)
	}
}

func TestTheLoginLinkLeadsBack(t *testing.T) {
	d := newDesk(t, adminui.Config{LoginURL: "/signin/?next={next}"})
	h := http.StripPrefix("/admin", d.ui)
	p := send(h, request{method: "GET", path: "/admin/activity?user=ada"}).want(t, 401)
	if !strings.Contains(p.text, `href="/signin/?next=%2Fadmin%2Factivity%3Fuser%3Dada"`) {
		t.Errorf("no link to sign in: %s", p.text)
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	const script = `"><script>alert(1)</script>`
	d := newDesk(t, adminui.Config{})
	ctx := jwtauth.WithClient(t.Context(), jwtauth.Client{UserAgent: script, DeviceID: script})
	g, err := d.Auth.Register(ctx, jwtauth.Registration{Username: "eve", Email: "eve@example.test", Name: script, Password: authtest.Password})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/activity", "/users", "/user?id=" + g.User.ID, "/activity?user=" + `%22%3E%3Cscript%3Ealert(1)%3C/script%3E`,
		"/users?find=" + `%22%3E%3Cscript%3Ealert(1)%3C/script%3E`} {
		secured(t, d.get(t, path))
	}
	d.get(t, "/user?id="+g.User.ID).has(t, script)
}
