package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// keeper hands a browser its cookies back over http too: they are Secure, and
// browsers take this machine for a safe place.
type keeper struct{ cookies map[string]string }

func (k *keeper) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		k.cookies[c.Name] = c.Value
	}
}

func (k *keeper) Cookies(*url.URL) (list []*http.Cookie) {
	for name, value := range k.cookies {
		list = append(list, &http.Cookie{Name: name, Value: value})
	}
	return list
}

func TestPagesAreServedWhereTheyAreSwitchedOn(t *testing.T) {
	s := start(t, with(t, `{"admin":true}`), environment(), "-admin", "root@example.com")
	password := regexp.MustCompile(`password (\S+) \(`).FindStringSubmatch(s.out.String())[1]
	browser := &http.Client{Jar: &keeper{map[string]string{}}}
	post := func(path string, form url.Values) string {
		t.Helper()
		return text(t, func() (*http.Response, error) { return browser.PostForm(s.base+path, form) })
	}
	get := func(path string) string {
		t.Helper()
		return text(t, func() (*http.Response, error) { return browser.Get(s.base + path) })
	}
	if page := get("/admin/"); !strings.Contains(page, "Please sign in") || !strings.Contains(page, "/signin/?next=") {
		t.Errorf("a stranger sees %s", page)
	}
	page := post("/signin/", url.Values{"login": {"root@example.com"}, "password": {password}, "next": {"/admin/users"}})
	if !strings.Contains(page, "root@example.com") || !strings.Contains(page, `id="users"`) {
		t.Errorf("the administrator sees %s", page)
	}
	if page := get("/account/"); !strings.Contains(page, "Your devices") {
		t.Errorf("the account is %s", page)
	}
	if page := post("/admin/keys/rotate", nil); !strings.Contains(page, "A new key signs from now on.") {
		t.Errorf("a rotation leads to %s", page)
	}
	if page := get("/admin/webhooks"); !strings.Contains(page, "No endpoint is configured.") {
		t.Errorf("webhooks are %s", page)
	}
}

// text is the body of an answer.
func text(t *testing.T, ask func() (*http.Response, error)) string {
	t.Helper()
	r, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPagesAreOffByDefault(t *testing.T) {
	a := testApp(t, quick, options{keys: t.TempDir()})
	for _, path := range []string{"/admin/", "/account/", "/signin/"} {
		if r := serveJSON(a.handler, "GET", path, ""); r.status != 404 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}
