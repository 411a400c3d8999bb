package adminui_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
	"github.com/go-jwtauth/jwtauth/authtest"
)

const host = "auth.example.test"

// desk is the pages for administrators with somebody in front of them.
type desk struct {
	*authtest.Site
	ui    http.Handler
	admin *jwtauth.Grant
}

func newDesk(t testing.TB, cfg adminui.Config, change ...func(*jwtauth.Config)) *desk {
	t.Helper()
	site := authtest.New(t, append([]func(*jwtauth.Config){func(c *jwtauth.Config) { c.Cookies.Enabled = true }}, change...)...)
	cfg.Logger = site.Config.Logger
	ui, err := adminui.New(site.Auth, cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{Site: site, ui: ui}
	d.admin = d.account(t, "root", "administrator")
	return d
}

// account makes an account and logs it in.
func (d *desk) account(t testing.TB, name string, roles ...string) *jwtauth.Grant {
	t.Helper()
	return account(t, d.Auth, name, roles...)
}

func account(t testing.TB, auth *jwtauth.Auth, name string, roles ...string) *jwtauth.Grant {
	t.Helper()
	g, err := auth.Register(browser(), jwtauth.Registration{Username: name, Email: name + "@example.test", Password: authtest.Password, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (d *desk) login(t testing.TB, name string) *jwtauth.Grant {
	t.Helper()
	g, err := d.Auth.Login(browser(), jwtauth.Credentials{Login: name, Password: authtest.Password})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// browser is the context of a call from one.
func browser() context.Context {
	return jwtauth.WithClient(context.Background(), jwtauth.Client{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"})
}

// page is an answer.
type page struct {
	status int
	header http.Header
	text   string
}

// words are the text of a page without its tags.
func (p page) words() string {
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(p.text, " ")
	return html.UnescapeString(strings.Join(strings.Fields(text), " "))
}

func (p page) has(t testing.TB, words ...string) page {
	t.Helper()
	text := p.words()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the page lacks %q: %s", w, text)
		}
	}
	return p
}

func (p page) lacks(t testing.TB, words ...string) page {
	t.Helper()
	text := p.words()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("the page has %q: %s", w, text)
		}
	}
	return p
}

func (p page) want(t testing.TB, status int) page {
	t.Helper()
	if p.status != status {
		t.Fatalf("answered %d, want %d: %s", p.status, status, p.words())
	}
	return p
}

// rows are the values of an attribute, in the order of the page.
func (p page) rows(attribute string) (values []string) {
	for _, m := range regexp.MustCompile(` `+attribute+`="([^"]*)"`).FindAllStringSubmatch(p.text, -1) {
		values = append(values, html.UnescapeString(m[1]))
	}
	return values
}

// request is one from a browser, unless the header says otherwise.
type request struct {
	method, path string
	form         url.Values
	body         string
	header       http.Header
	grant        *jwtauth.Grant
	bearer       bool
}

func send(h http.Handler, q request) page {
	var body io.Reader = http.NoBody
	if q.form != nil {
		q.body = q.form.Encode()
	}
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r := httptest.NewRequest(q.method, q.path, body)
	r.Host = host
	if q.body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if q.method == "POST" {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "https://"+host)
	}
	switch {
	case q.grant == nil:
	case q.bearer:
		r.Header.Set("Authorization", "Bearer "+q.grant.AccessToken)
	default:
		r.AddCookie(&http.Cookie{Name: "__Host-jwtauth", Value: q.grant.AccessToken})
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return page{w.Code, w.Result().Header, w.Body.String()}
}

// get is a page as the administrator sees it.
func (d *desk) get(t testing.TB, path string) page {
	t.Helper()
	return send(d.ui, request{method: "GET", path: path, grant: d.admin}).want(t, 200)
}

// post submits a form as the administrator, and returns the page that it leads to.
func (d *desk) post(t testing.TB, path string, pairs ...string) page {
	t.Helper()
	p := send(d.ui, request{method: "POST", path: path, form: form(pairs...), grant: d.admin}).want(t, 303)
	return d.get(t, resolve(t, path, p.header.Get("Location")))
}

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

// resolve reads a link as a browser does.
func resolve(t testing.TB, from, ref string) string {
	t.Helper()
	base, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(ref)
	if err != nil || u.Host != "" {
		t.Fatalf("%q leads elsewhere: %v", ref, err)
	}
	return u.String()
}

// last is the newest event of a name.
func (d *desk) last(t testing.TB, name string) jwtauth.Event {
	t.Helper()
	list, err := d.Auth.Events(context.Background(), jwtauth.EventFilter{Name: name, Limit: 1})
	if err != nil || len(list) == 0 {
		t.Fatalf("no event %s: %v", name, err)
	}
	return list[0]
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
