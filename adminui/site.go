package adminui

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

//go:embed templates static
var files embed.FS

const (
	// policy is the Content-Security-Policy of every answer; that of pages
	// which renew themselves lets their script ask for the page again.
	policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'"
	renewPolicy = policy + "; connect-src 'self'"

	nextMark = "{next}"
)

// site is what the handlers of this package have in common: routes, who may
// use them, and how pages are written.
type site struct {
	auth       *jwtauth.Auth
	name       string // of the endpoint, for its gate
	title      string
	loginURL   string
	accountURL string
	log        *slog.Logger
	gate       *jwtauth.Gate
	origin     *http.CrossOriginProtection
	templates  map[string]*template.Template
	assets     map[string][]byte
	routes     map[string]map[string]func(*visit) error // by path and method
	menu       []item
	// roles may use it; nil: everybody who is logged in, or with open, who is
	// not.
	roles []string
	open  bool
}

// item is an entry of the menu.
type item struct{ Path, Title string }

// common is what the configurations have in common.
type common struct {
	site, loginURL string
	allowIPs       []string
	log            *slog.Logger
}

func newSite(auth *jwtauth.Auth, name string, cfg common) (*site, error) {
	if err := checkLink("LoginURL", cfg.loginURL); err != nil {
		return nil, err
	}
	gate, err := auth.NewGate(jwtauth.AccessConfig{AllowIPs: cfg.allowIPs}, name)
	if err != nil {
		return nil, fmt.Errorf("adminui: Config.AllowIPs: %w", err)
	}
	if cfg.log == nil {
		cfg.log = slog.Default()
	}
	s := &site{auth: auth, name: name, title: siteName(auth, cfg.site), loginURL: cfg.loginURL, log: cfg.log, gate: gate,
		origin: http.NewCrossOriginProtection(), routes: map[string]map[string]func(*visit) error{}}
	if s.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	s.assets, err = readAssets()
	return s, err
}

// parseTemplates puts each page into the layout.
func parseTemplates() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		page, err := layout.Clone()
		if err == nil {
			_, err = page.ParseFS(files, name)
		}
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return all, nil
}

func readAssets() (map[string][]byte, error) {
	assets := map[string][]byte{}
	for _, name := range []string{"style.css", "app.js", "icon.svg"} {
		data, err := files.ReadFile("static/" + name)
		if err != nil {
			return nil, err
		}
		assets["/"+name] = data
	}
	return assets, nil
}

var mediaTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (s *site) get(path string, h func(*visit) error)  { s.route(path, http.MethodGet, h) }
func (s *site) post(path string, h func(*visit) error) { s.route(path, http.MethodPost, h) }

func (s *site) route(path, method string, h func(*visit) error) {
	if s.routes[path] == nil {
		s.routes[path] = map[string]func(*visit) error{}
	}
	s.routes[path][method] = h
}

// ServeHTTP implements [http.Handler].
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	v := &visit{site: s, w: w, r: r}
	defer v.recoverPanic()
	if err := s.serve(v); err != nil {
		v.fail(err)
	}
}

// serve finds out who calls before it says what there is.
func (s *site) serve(v *visit) error {
	if asset, ok := s.assets[v.r.URL.Path]; ok {
		return v.asset(asset)
	}
	if v.r.URL.Path == "" {
		return v.intoFolder()
	}
	if err := v.admit(); err != nil {
		return err
	}
	h, err := s.find(v)
	if err != nil {
		return err
	}
	return h(v)
}

// find returns the handler of a request. Paths are compared as they are: there
// is one spelling of each, but for a slash at its end, which leads to it.
func (s *site) find(v *visit) (func(*visit) error, error) {
	p := v.r.URL.Path
	methods, ok := s.routes[p]
	if v.r.URL.RawPath != "" {
		ok = false
	} else if short := strings.TrimSuffix(p, "/"); !ok && s.routes[short] != nil && v.reading() {
		return func(v *visit) error { return v.redirect(strings.TrimPrefix(short, "/")) }, nil
	}
	if !ok {
		return nil, refusal{http.StatusNotFound, "There is nothing at this address."}
	}
	method := v.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if h := methods[method]; h != nil {
		return h, nil
	}
	allow := slices.Collect(maps.Keys(methods))
	if methods[http.MethodGet] != nil {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	v.w.Header().Set("Allow", strings.Join(allow, ", "))
	return nil, refusal{http.StatusMethodNotAllowed, "This address does not answer that method."}
}

// visit is one request on its way.
type visit struct {
	*site
	w  http.ResponseWriter
	r  *http.Request
	id *jwtauth.Identity // nil for a stranger
	// renews says that the page has a script which asks for it again.
	renews bool
}

func (v *visit) reading() bool {
	return v.r.Method == http.MethodGet || v.r.Method == http.MethodHead
}

// admit lets a request in whose address, origin, token and role are right.
func (v *visit) admit() error {
	var err error
	v.r, _, err = v.gate.Admit(v.w, v.r, jwtauth.Admission{Endpoint: v.name})
	if err != nil {
		return v.gate.Finish(v.r, v.name, jwtauth.Outcome{Event: jwtauth.EventAccess, Err: err})
	}
	if err := v.origin.Check(v.r); err != nil {
		return refusal{http.StatusForbidden, "Another site made your browser send this, so nothing was done."}
	}
	if v.open {
		return nil
	}
	return v.identify()
}

// identify asks the middleware of the Auth, which also records what it refuses.
func (v *visit) identify() error {
	answer := &unread{header: http.Header{}}
	passed := false
	v.auth.RequireRole(v.roles...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		passed, v.r = true, r
		v.id, _ = jwtauth.FromContext(r.Context())
	})).ServeHTTP(answer, v.r)
	if passed && v.id != nil {
		return nil
	}
	for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
		if value := answer.header.Get(name); value != "" {
			v.w.Header().Set(name, value)
		}
	}
	return refusal{answer.status, refusals[answer.status]}
}

var refusals = map[int]string{
	http.StatusUnauthorized:       "You are not signed in, or your login has expired.",
	http.StatusForbidden:          "Your account is not allowed to see these pages.",
	http.StatusServiceUnavailable: "Something that is needed does not answer at the moment. Please try again.",
}

// unread takes what the middleware answers, of which a page is made.
type unread struct {
	header http.Header
	status int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(status int)      { u.status = status }

// refusal is an error with a page of its own.
type refusal struct {
	status  int
	message string
}

func (e refusal) Error() string { return e.message }

func badRequest(message string) error { return refusal{http.StatusBadRequest, message} }

// base leads from the address of a request to the root of the site.
func (v *visit) base() string {
	depth := strings.Count(strings.TrimPrefix(v.r.URL.EscapedPath(), "/"), "/")
	if depth == 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

// redirect leads to a page of the site, by a relative reference: what is in
// front of the prefix is not known.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", v.base()+to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// back leads to a page after something was done.
func (v *visit) back(page, done string, query url.Values) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("done", done)
	return v.redirect(page + "?" + query.Encode())
}

// intoFolder adds the slash without which relative links lead elsewhere.
func (v *visit) intoFolder() error {
	u, err := url.ParseRequestURI(v.r.RequestURI)
	last := "."
	if err == nil {
		last = path.Base(u.EscapedPath())
	}
	if !v.reading() || last == "/" || last == "." {
		return refusal{http.StatusNotFound, "There is nothing at this address."}
	}
	v.w.Header().Set("Location", "./"+last+"/")
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (v *visit) asset(data []byte) error {
	if !v.reading() {
		v.w.Header().Set("Allow", "GET, HEAD")
		return refusal{http.StatusMethodNotAllowed, "This address does not answer that method."}
	}
	v.w.Header().Set("Content-Type", mediaTypes[path.Ext(v.r.URL.Path)])
	_, _ = v.w.Write(data)
	return nil
}

// view is what the layout shows.
type view struct {
	Base, Site, Title, Section string
	Who                        string // signed in as; "" for a stranger
	AccountURL                 string
	Menu                       []item
	Done                       string
	Renews                     bool
	SignOut                    bool
	Data                       any
}

// render writes a page with status 200.
func (v *visit) render(page, section, title string, data any) error {
	return v.write(http.StatusOK, page, section, title, data)
}

func (v *visit) write(status int, page, section, title string, data any) error {
	done, err := v.done()
	if err != nil && status == http.StatusOK {
		return err
	}
	x := view{Base: v.base(), Site: v.title, Title: title, Section: section, Done: done, Renews: v.renews, Data: data}
	if v.id != nil {
		x.Who, x.Menu, x.AccountURL, x.SignOut = v.who(), v.menu, v.accountURL, true
	}
	var b bytes.Buffer
	if err := v.templates[page].ExecuteTemplate(&b, "layout.html", x); err != nil {
		return err
	}
	if v.renews {
		v.w.Header().Set("Content-Security-Policy", renewPolicy)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes())
	return nil
}

// who names the caller. A name that can't be read is no reason to show nothing.
func (v *visit) who() string {
	u, err := v.auth.UserByID(v.r.Context(), v.id.UserID)
	if err != nil {
		return "account " + v.id.UserID
	}
	return u.Login
}

// failure is what an error page shows.
type failure struct {
	Status  int
	Title   string
	Message string
	Login   string
}

var failureTitles = map[int]string{
	http.StatusBadRequest:            "This request can’t be read",
	http.StatusUnauthorized:          "Please sign in",
	http.StatusForbidden:             "Not allowed",
	http.StatusNotFound:              "Nothing here",
	http.StatusMethodNotAllowed:      "Not like this",
	http.StatusConflict:              "Changed meanwhile",
	http.StatusRequestEntityTooLarge: "Too large",
	http.StatusUnsupportedMediaType:  "Not a form",
	http.StatusTooManyRequests:       "Too many requests",
	http.StatusServiceUnavailable:    "Not available at the moment",
}

// fail answers with a page that explains an error.
func (v *visit) fail(err error) {
	status, message := v.explain(err)
	title := failureTitles[status]
	if title == "" {
		status, title = http.StatusInternalServerError, "Something went wrong"
	}
	f := failure{Status: status, Title: title, Message: message}
	if status == http.StatusUnauthorized {
		f.Login = v.login()
	}
	v.refuse(err)
	if status >= 500 {
		v.log.ErrorContext(v.r.Context(), "page failed", "path", v.r.URL.Path, "error", err)
	}
	v.renews = false
	if err := v.write(status, "error", "", title, f); err != nil {
		http.Error(v.w, title, status)
	}
}

// refuse sets the headers that belong to a refusal.
func (v *visit) refuse(err error) {
	h := v.w.Header()
	status, _ := v.explain(err)
	var known *jwtauth.Error
	if errors.As(err, &known) && known.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(known.RetryAfter.Seconds()))))
	}
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer")
	}
}

func (v *visit) explain(err error) (status int, message string) {
	var page refusal
	var outside fault
	var known *jwtauth.Error
	switch {
	case errors.As(err, &page):
		return page.status, page.message
	case errors.As(err, &outside):
		return http.StatusServiceUnavailable, refusals[http.StatusServiceUnavailable]
	case errors.As(err, &known):
		return jwtauth.Status(err), known.Message
	}
	return http.StatusInternalServerError, "The reason is in the log."
}

// login is the link to sign in again.
func (v *visit) login() string {
	next := ""
	if v.r.Method == http.MethodGet && localPath(v.r.RequestURI) {
		next = v.r.RequestURI
	}
	return strings.ReplaceAll(v.loginURL, nextMark, url.QueryEscape(next))
}

func (v *visit) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	v.log.ErrorContext(v.r.Context(), "panic in a page", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	v.fail(refusal{http.StatusInternalServerError, "The reason is in the log."})
}

// signOut ends the session of this browser.
func (v *visit) signOut() error {
	if _, err := v.form(); err != nil {
		return err
	}
	err := v.auth.EndSession(v.r.Context(), v.id.UserID, v.id.SessionID)
	if err != nil && jwtauth.Code(err) != jwtauth.ErrNotFound.Code {
		return err
	}
	return v.signedOut()
}

// signedOut is a page and no redirect: a form may not lead to another origin,
// where the page to sign in can be.
func (v *visit) signedOut() error {
	v.auth.ClearCookies(v.w)
	v.id = nil
	return v.render("signedout", "", "Signed out", v.login())
}
