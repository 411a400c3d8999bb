package browsertest_test

import (
	"net/http"
	"strings"
	"testing"
)

// What every test relies on: a page that does something wrong is noticed.
func TestTheKitNotices(t *testing.T) {
	for name, tt := range map[string]struct{ script, problem string }{
		"an exception":           {`nothing.here`, "exception"},
		"an error":               {`console.error("oh")`, "console"},
		"a violation":            {`document.body.append(Object.assign(document.createElement("script"), {textContent: "1"}))`, "security"},
		"text that becomes HTML": {`document.body.innerHTML = "<b>x</b>"`, "TrustedHTML"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			page := launch(t).profile(s.url).open("/spa/")
			page.shows("#login", "Log in")
			eval[bool](page, `setTimeout(() => {`+tt.script+`}) && true`)
			var found string
			await(t, func() bool {
				found += strings.Join(page.forgive(), "\n")
				return strings.Contains(found, tt.problem)
			}, func() string { return "no word of " + tt.problem + " in: " + found })
			page.visit("/spa/") // nothing is under way any more
			page.forgive()
		})
	}
	t.Run("another host", func(t *testing.T) {
		s := newSite(t)
		s.mux.HandleFunc("GET /open", func(http.ResponseWriter, *http.Request) {}) // a page without a policy
		page := launch(t).profile(s.url).open("/open")
		eval[bool](page, `fetch("http://localhost:1/").catch(() => true)`)
		await(t, func() bool { return strings.Contains(strings.Join(page.forgive(), ""), "leaves the host") }, page.state)
		page.visit("/spa/")
		page.forgive()
	})
	t.Run("a 500", func(t *testing.T) {
		s := newSite(t)
		s.answer("/auth/me", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
		page := launch(t).profile(s.url).open("/spa/")
		await(t, func() bool { return strings.Contains(strings.Join(page.forgive(), ""), "answered 500") }, page.state)
		page.forgive()
	})
}
