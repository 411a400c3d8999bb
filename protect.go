package jwtauth

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// ProtectRule says who may reach some of a host's own routes.
type ProtectRule struct {
	// Pattern is in the syntax of [http.ServeMux]: a path, also with
	// wildcards, a trailing slash for all below it, and a method in front of
	// it if the rule is for that one alone, such as "POST /articles/".
	Pattern string
	// Public lets everybody in. It excludes Roles.
	Public bool
	// Roles lets in who has at least one of them. Without Public and Roles,
	// everybody who is logged in may come.
	Roles []string
}

// verdict orders what a rule demands, the strictest highest.
type verdict struct {
	public bool
	roles  []string
}

func (v verdict) strictness() int {
	switch {
	case v.public:
		return 0
	case len(v.roles) == 0:
		return 1
	}
	return 2
}

// compiledRule has muxes of its own, so that the order of the rules decides and
// not which pattern is more specific. loose also fits the path with or without a
// slash at its end, and in any case.
type compiledRule struct {
	strict, loose *http.ServeMux
	verdict       verdict
}

// Protect guards all of a host's routes at once, by ordered rules: the first one
// whose pattern fits decides. A request that fits none must be logged in.
//
//	guarded, err := auth.Protect(
//		jwtauth.ProtectRule{Pattern: "GET /articles/", Public: true},
//		jwtauth.ProtectRule{Pattern: "/admin/", Roles: []string{"administrator"}},
//	)
//	http.ListenAndServe(addr, guarded(mux))
//
// Routers differ in what they make of doubled slashes, dots, escapes, case and
// trailing slashes. A path that can be read in several ways gets the strictest
// verdict of all of them, so that it can't reach a route by another name. A
// rule also counts for a path that fits it but for case or the slash at its end,
// where that is stricter, or no other rule fits: a rule for "/about" is one for
// "/about/" as well. A path of more than 8 KiB is let in nowhere. To guard single handlers, [Auth.Require] and [Auth.RequireRole] are
// simpler.
func (a *Auth) Protect(rules ...ProtectRule) (func(http.Handler) http.Handler, error) {
	p, err := NewProtection(rules...)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			public, roles := p.Demands(r)
			switch {
			case public:
				a.Authenticate(next).ServeHTTP(w, r)
			default:
				a.RequireRole(roles...)(next).ServeHTTP(w, r)
			}
		})
	}, nil
}

// Protection is what [Auth.Protect] decides by, for handlers that answer in
// another way. Most applications use Protect.
type Protection struct{ rules []compiledRule }

// NewProtection checks the rules and reports every mistake at once.
func NewProtection(rules ...ProtectRule) (*Protection, error) {
	compiled, err := compileRules(rules)
	if err != nil {
		return nil, err
	}
	return &Protection{compiled}, nil
}

// Demands returns what a request must meet: nothing where public, else at least
// one of the roles, or just a valid token where there are none.
func (p *Protection) Demands(r *http.Request) (public bool, roles []string) {
	v := judgeRequest(p.rules, r)
	return v.public, v.roles
}

func compileRules(rules []ProtectRule) ([]compiledRule, error) {
	var out []compiledRule
	var errs []error
	for i, rule := range rules {
		strict, err := muxFor(rule.Pattern)
		if err == nil && rule.Public && len(rule.Roles) > 0 {
			err = errors.New("it is public and asks for roles")
		}
		if err == nil && len(rule.Roles) > 0 {
			err = checkRoles(rule.Roles)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("jwtauth: Protect: rule %d (%q): %w", i, rule.Pattern, err))
		}
		out = append(out, compiledRule{strict, looseMux(rule.Pattern), verdict{rule.Public, slices.Clone(rule.Roles)}})
	}
	return out, errors.Join(errs...)
}

// looseMux fits what differs from a pattern in case, or in the slash at the end.
func looseMux(pattern string) *http.ServeMux {
	method, place, given := strings.Cut(pattern, " ")
	if !given {
		method, place = "", pattern
	}
	place = strings.ToLower(place)
	mux := http.NewServeMux()
	for _, p := range []string{place, otherEnding(place)} {
		if one, err := muxFor(strings.TrimSpace(method + " " + p)); err == nil {
			mux.Handle(strings.TrimSpace(method+" "+p), one)
		}
	}
	return mux
}

// otherEnding adds the slash at the end of a pattern, or takes it away.
func otherEnding(pattern string) string {
	for _, end := range []string{"/{$}", "/"} {
		if short, cut := strings.CutSuffix(pattern, end); cut {
			return short
		}
	}
	return pattern + "/{$}"
}

// muxFor turns the panic of a bad pattern into an error.
func muxFor(pattern string) (mux *http.ServeMux, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("not a pattern of http.ServeMux")
		}
	}()
	// A mux takes any word for a method. A rule whose method is never sent
	// would guard nothing, without anybody noticing.
	if method, _, given := strings.Cut(pattern, " "); given && !slices.Contains(methods, method) {
		return nil, errors.New("its method is none of HTTP, or more than one")
	}
	mux = http.NewServeMux()
	mux.Handle(pattern, http.NotFoundHandler())
	return mux, nil
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// judgeRequest returns the strictest verdict over all readings of a path.
func judgeRequest(rules []compiledRule, r *http.Request) verdict {
	const longest = 8 << 10 // each reading costs as much as it is long
	if len(r.URL.Path) > longest || len(r.URL.RawPath) > longest {
		return verdict{roles: []string{nobody}}
	}
	var strictest verdict
	for i, p := range readings(r) {
		v := judgePath(rules, r, p)
		switch {
		case i == 0 || v.strictness() > strictest.strictness():
			strictest = v
		case v.strictness() == 2 && strictest.strictness() == 2 && !slices.Equal(v.roles, strictest.roles):
			strictest.roles = intersect(strictest.roles, v.roles)
		}
	}
	return strictest
}

// nobody is a role that no user can have: role names have no spaces.
const nobody = "no role"

// intersect returns the roles that satisfy both rules.
func intersect(a, b []string) []string {
	both := slices.DeleteFunc(slices.Clone(a), func(role string) bool { return !slices.Contains(b, role) })
	if len(both) == 0 {
		return []string{nobody}
	}
	return both
}

// readings returns the paths that a router could take a request for: as it is,
// cleaned, decoded as often as it is encoded, in lower case, and with or without
// a slash at its end.
func readings(r *http.Request) []string {
	var out []string
	add := func(p string) {
		if p == "" || p[0] != '/' {
			p = "/" + p
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range []string{r.URL.Path, r.URL.EscapedPath(), strings.ReplaceAll(r.URL.Path, `\`, "/")} {
		for range 3 {
			clean := path.Clean("/" + p)
			for _, spelling := range []string{p, clean, strings.ToLower(clean)} {
				add(spelling)
				add(strings.TrimSuffix(spelling, "/"))
				add(strings.TrimSuffix(spelling, "/") + "/")
			}
			decoded := decodeOnce(p)
			if decoded == p {
				break
			}
			p = decoded
		}
	}
	return out
}

// decodeOnce undoes percent encoding where it is one, and leaves the rest.
func decodeOnce(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if c, ok := hexByte(p[i+1], p[i+2]); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func hexByte(high, low byte) (byte, bool) {
	h, l := strings.IndexByte(hexDigits, lower(high)), strings.IndexByte(hexDigits, lower(low))
	return byte(h<<4 | l), h >= 0 && l >= 0
}

const hexDigits = "0123456789abcdef"

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// judgePath applies the rules in their order to one reading.
func judgePath(rules []compiledRule, r *http.Request, p string) verdict {
	strict := func(rule compiledRule) bool { return fits(rule.strict, r, p) }
	loose := func(rule compiledRule) bool { return fits(rule.loose, r, strings.ToLower(p)) }
	verdicts := make([]verdict, 0, 2)
	for _, way := range []func(compiledRule) bool{strict, loose} {
		if i := slices.IndexFunc(rules, way); i >= 0 {
			verdicts = append(verdicts, rules[i].verdict)
		}
	}
	switch {
	case len(verdicts) == 0:
		return verdict{} // logged in
	case len(verdicts) == 2 && verdicts[1].strictness() > verdicts[0].strictness():
		return verdicts[1]
	}
	return verdicts[0]
}

// fits reports whether a mux with one pattern knows a path. One that would
// redirect to a cleaned path names its pattern as well; that path is another
// reading, judged for itself.
func fits(mux *http.ServeMux, r *http.Request, p string) bool {
	probe := &http.Request{Method: r.Method, Host: r.Host, URL: r.URL.JoinPath()}
	probe.URL.Path, probe.URL.RawPath = p, ""
	_, pattern := mux.Handler(probe)
	return pattern != ""
}
