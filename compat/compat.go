// Package compat serves several APIs under the addresses that clients of
// WordPress use, so that front ends written for it work unchanged.
//
//	mux := http.NewServeMux()
//	compat.Mount(mux, "/wp-json", compat.Site{
//		Auth: auth,
//		Namespaces: map[string]http.Handler{
//			"headlesskey/v1": compat.Native(auth),
//			"jwt-auth/v1":    jwtAuth, // of package compat/jwtauth
//			"wp/v2":          hostsOwn,
//		},
//	})
//
// Every route then has both addresses, /wp-json/{namespace}/{route} and
// /?rest_route=/{namespace}/{route}, and one more slash at the end makes no
// difference. GET /wp-json tells which namespaces and routes there are.
//
// # What differs from WordPress
//
//   - Paths are compared exactly, with upper and lower case told apart. Escaped
//     letters, doubled slashes and dots are unknown routes, so that rules in
//     front and routes behind see one and the same path.
//   - The header X-HTTP-Method-Override and the parameter _method are ignored:
//     a rule for DELETE could be passed by with a POST.
//   - rest_route is read from the query alone, once; beside a path below the
//     prefix, or twice, it is an unknown route.
//   - Pages of other origins may call as [jwtauth.CORSConfig] says. WordPress
//     lets any, with cookies.
//   - The index lists routes and methods, not their arguments.
//   - Messages are in other words; codes and statuses are the same.
package compat

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// Site is what [Mount] serves.
type Site struct {
	// Auth decides which other origins may call. Required.
	Auth *jwtauth.Auth
	// Namespaces are the APIs by their namespace, such as "jwt-auth/v1". Each
	// gets requests with the path behind its namespace, like those that
	// [http.StripPrefix] makes, without the parameter rest_route and without a
	// slash at the end. One that also has a method Routes, as [Native] and the
	// dialects have, is listed route by route. Required.
	Namespaces map[string]http.Handler
	// URL is the address of the site as clients see it, in links. Default:
	// links are relative.
	URL string
	// Name and Description are shown by the index.
	Name, Description string
	// Home answers "/" and "/index.php" without rest_route. Default: 404.
	Home http.Handler
}

// router is what the index asks a namespace for.
type router interface{ Routes() []jwtauth.Route }

// Native is the native API of an Auth as a namespace: "headlesskey/v1", or
// "wpauthapi/v1" for older clients, or both.
func Native(a *jwtauth.Auth) http.Handler { return native{a.Handler(), a} }

type native struct {
	http.Handler
	auth *jwtauth.Auth
}

// Routes implements the interface that the index asks for.
func (n native) Routes() []jwtauth.Route { return n.auth.Routes() }

// site is a Site that was checked.
type site struct {
	Site
	prefix string
	names  []string // of the namespaces, the longest first
	index  map[string]any
}

var namespaceNames = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]*[A-Za-z0-9_-])*$`)

// Mount serves a site on mux: below prefix, usually "/wp-json", and at "/" and
// "/index.php" where the query has a rest_route. It panics on a prefix or a
// namespace that is not a plain path, and on a Site without Auth, since these are
// mistakes in the program.
func Mount(mux *http.ServeMux, prefix string, s Site) {
	h := newSite(prefix, s)
	below := s.Auth.CORS(http.HandlerFunc(h.below))
	query := s.Auth.CORS(http.HandlerFunc(h.query))
	mux.Handle(prefix, below)
	mux.Handle(prefix+"/", below)
	mux.Handle("/{$}", query)
	mux.Handle("/index.php", query)
}

func newSite(prefix string, s Site) *site {
	if s.Auth == nil {
		panic("jwtauth: compat.Mount: Site.Auth is required")
	}
	if !strings.HasPrefix(prefix, "/") || !namespaceNames.MatchString(prefix[1:]) {
		panic(fmt.Sprintf("jwtauth: compat.Mount: prefix %q must be a plain path such as /wp-json", prefix))
	}
	for name, h := range s.Namespaces {
		if h == nil || !namespaceNames.MatchString(name) {
			panic(fmt.Sprintf("jwtauth: compat.Mount: namespace %q must be a plain path such as jwt-auth/v1, and have a handler", name))
		}
	}
	s.Namespaces = maps.Clone(s.Namespaces)
	s.URL = strings.TrimSuffix(s.URL, "/")
	if s.Home == nil {
		s.Home = http.NotFoundHandler()
	}
	h := &site{Site: s, prefix: prefix, names: slices.Sorted(maps.Keys(s.Namespaces))}
	slices.Reverse(h.names) // a name comes before what it begins with
	h.index = h.describe()
	return h
}

// below answers the addresses below the prefix.
func (s *site) below(w http.ResponseWriter, r *http.Request) {
	if _, second := cutRoute(r.URL.RawQuery); second != nil || r.URL.RawPath != "" {
		wprest.WriteError(w, wprest.NoRoute())
		return
	}
	route := strings.TrimPrefix(r.URL.Path, s.prefix)
	if route == "" {
		route = "/"
	}
	s.serve(w, r, route)
}

// query answers the addresses with rest_route.
func (s *site) query(w http.ResponseWriter, r *http.Request) {
	rest, routes := cutRoute(r.URL.RawQuery)
	switch {
	case len(routes) == 0, len(routes) == 1 && routes[0] == "":
		s.Home.ServeHTTP(w, r)
		return
	case len(routes) > 1:
		wprest.WriteError(w, wprest.NoRoute())
		return
	}
	r = wprest.At(r, r.URL.Path)
	r.URL.RawQuery = rest
	s.serve(w, r, routes[0])
}

// cutRoute takes the parameter rest_route out of a query, and leaves all others
// as they were written.
func cutRoute(raw string) (rest string, routes []string) {
	if raw == "" {
		return "", nil
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != "rest_route" {
			kept = append(kept, pair)
			continue
		}
		route, err := url.QueryUnescape(value)
		if err != nil {
			route = value // no such route either
		}
		routes = append(routes, route)
	}
	return strings.Join(kept, "&"), routes
}

// serve answers a route, whichever way it was addressed.
func (s *site) serve(w http.ResponseWriter, r *http.Request, route string) {
	h := w.Header()
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Link", "<"+s.href("/")+`>; rel="https://api.w.org/"`)
	route, ok := wprest.Path(route)
	if !ok {
		wprest.WriteError(w, wprest.NoRoute())
		return
	}
	if route == "/" {
		s.serveIndex(w, r, s.index)
		return
	}
	for _, name := range s.names {
		rest, ok := strings.CutPrefix(route[1:], name)
		switch {
		case ok && rest == "":
			s.serveIndex(w, r, map[string]any{"namespace": name, "routes": s.routes(name)})
			return
		case ok && rest[0] == '/':
			s.Namespaces[name].ServeHTTP(w, wprest.At(r, rest))
			return
		}
	}
	wprest.WriteError(w, wprest.NoRoute())
}

func (s *site) serveIndex(w http.ResponseWriter, r *http.Request, index map[string]any) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		wprest.WriteJSON(w, http.StatusOK, index)
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		wprest.WriteJSON(w, http.StatusOK, index)
	default:
		wprest.WriteError(w, wprest.NoRoute())
	}
}

// describe makes the index of all namespaces.
func (s *site) describe() map[string]any {
	names := slices.Sorted(maps.Keys(s.Namespaces))
	routes := map[string]any{"/": s.entry("", "/", []string{"GET"})}
	for _, name := range names {
		maps.Copy(routes, s.routes(name))
	}
	return map[string]any{
		"name": s.Name, "description": s.Description, "url": s.URL, "home": s.URL,
		"gmt_offset": 0, "timezone_string": "UTC",
		"namespaces": names, "authentication": map[string]any{}, "routes": routes,
	}
}

// routes describes one namespace.
func (s *site) routes(name string) map[string]any {
	out := map[string]any{"/" + name: s.entry(name, "/"+name, []string{"GET"})}
	h, ok := s.Namespaces[name].(router)
	if !ok {
		return out
	}
	methods := map[string][]string{}
	for _, route := range h.Routes() {
		path := "/" + name + wildcard.ReplaceAllString(route.Path, "(?P<$1>[^/]+)")
		methods[path] = append(methods[path], route.Method)
	}
	for path, list := range methods {
		slices.Sort(list)
		out[path] = s.entry(name, path, list)
	}
	return out
}

// wildcard is a parameter in the path of a route; the index shows it in the
// form of WordPress.
var wildcard = regexp.MustCompile(`\{(\w+)\}`)

func (s *site) entry(namespace, path string, methods []string) map[string]any {
	e := map[string]any{"namespace": namespace, "methods": methods,
		"endpoints": []any{map[string]any{"methods": methods, "args": map[string]any{}}}}
	if !strings.Contains(path, "(") {
		e["_links"] = map[string]any{"self": []any{map[string]string{"href": s.href(path)}}}
	}
	return e
}

func (s *site) href(path string) string { return s.URL + s.prefix + path }

// WriteError answers with the envelope of WordPress: {code, message,
// data:{status}}. It is for handlers of the host's own among the namespaces.
func WriteError(w http.ResponseWriter, status int, code, message string) {
	wprest.WriteError(w, &wprest.Error{Code: code, Message: message, Status: status})
}

// WriteJSON answers with the headers of the REST API.
func WriteJSON(w http.ResponseWriter, status int, body any) { wprest.WriteJSON(w, status, body) }

// ID is an account's id as WordPress shows it: a decimal one is a number.
func ID(id string) json.Marshaler { return wprest.ID(id) }

// Nicename is the form of a user name that WordPress puts into addresses: the
// one of the profile, else one made of the user name.
func Nicename(u jwtauth.User) string {
	return wprest.NicenameOf(u.Meta[jwtauth.MetaNicename], u.Login, u.ID)
}
