package simplejwtlogin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// API is the dialect for one [jwtauth.Auth]. Make one with [New]; it is safe for
// concurrent use.
type API struct {
	cfg  Config
	auth *jwtauth.Auth // tokens made through it have the payload of cfg
	// limits counts requests, addresses and codes let them in. They are apart
	// since the order of the checks is part of the protocol.
	limits, addresses, codes *jwtauth.Gate
	router                   http.Handler
}

// New checks cfg and reports every mistake at once, joined with [errors.Join].
// The API shares everything with auth: users, limits, locks and revocations.
func New(auth *jwtauth.Auth, cfg Config) (*API, error) {
	cfg = cfg.withDefaults(auth)
	api := &API{cfg: cfg}
	view, errTokens := auth.WithTokens(jwtauth.TokenProfile{TTL: cfg.ttl(), Claims: api.claims})
	api.auth = view
	if err := errors.Join(cfg.validate(auth), errTokens, api.newGates(auth)); err != nil {
		return nil, err
	}
	var routes []wprest.Route
	for _, r := range api.Routes() {
		routes = append(routes, wprest.Route{Method: r.Method, Path: r.Path, Handler: r.Handler})
	}
	api.router = wprest.Router(routes)
	return api, nil
}

// The names of what [Config].Access restricts.
const (
	ruleAuth      = "auth"
	ruleRefresh   = "refresh"
	ruleValidate  = "validate"
	ruleRevoke    = "revoke"
	ruleRegister  = "register"
	ruleDelete    = "delete"
	ruleReset     = "reset-password"
	ruleAutoLogin = "autologin"
	ruleDocument  = "openapi"
)

var ruleNames = []string{ruleAuth, ruleRefresh, ruleValidate, ruleRevoke, ruleRegister, ruleDelete, ruleReset, ruleAutoLogin, ruleDocument}

// newGates divides the rules among the gates. What is off is off before any of
// them is asked. A code that comes with a registration is checked even where
// none is asked for, since it brings a role.
func (api *API) newGates(auth *jwtauth.Auth) error {
	addresses, codes := api.cfg.Access, api.cfg.Access
	addresses.Endpoints, codes.Endpoints = map[string]jwtauth.AccessRule{}, map[string]jwtauth.AccessRule{}
	addresses.Codes, codes.AllowIPs = nil, nil
	for name, rule := range api.cfg.Access.Endpoints {
		if rule.Code {
			codes.Endpoints[name] = jwtauth.AccessRule{Code: true}
		}
		rule.Code, rule.Off = false, false
		addresses.Endpoints[name] = rule
	}
	if len(codes.Codes) > 0 {
		codes.Endpoints[ruleRegister] = jwtauth.AccessRule{Code: true}
	}
	var errLimits, errAddresses, errCodes error
	api.limits, errLimits = auth.NewGate(jwtauth.AccessConfig{}, ruleNames...)
	api.addresses, errAddresses = auth.NewGate(addresses, ruleNames...)
	api.codes, errCodes = auth.NewGate(codes, ruleNames...)
	return errors.Join(errLimits, errAddresses, errCodes)
}

// endpoint is one route: what it is called, what is checked in which order, and
// who answers.
type endpoint struct {
	rule, method, path string
	limit              jwtauth.Limit
	// event is for the record of what the service has not recorded itself, ""
	// for what is public and leaves none; read says that nothing changes.
	event string
	read  bool
	// on says whether it is offered, and off the failure if not; address and
	// code are the failures of the checks of these names.
	on                 bool
	off, address, code *failure
	// checks happen in this order before handle, which returns the body of a
	// 200, or a reply of its own.
	checks []check
	handle func(*call) (any, error)
	// failures are what the errors of the service are here, by their code.
	failures failures
}

type (
	check    func(*call) error
	failures map[string]*failure
)

// endpoints lists the routes. The order of the checks is the original's.
func (api *API) endpoints() []endpoint {
	v4 := api.cfg.Version == V4
	codeOr := func(v3 int) *failure { // V4 has one number for a wrong code
		if v4 {
			v3 = 27
		}
		return &failure{number: v3, message: "This needs a valid auth code."}
	}
	offOr := func(number, inV4 int) *failure {
		if v4 {
			number = inV4
		}
		return &failure{number: number, message: "This is not offered here.", cause: jwtauth.ErrForbidden}
	}
	address := func(number int) *failure {
		return &failure{number: number, message: "Requests from your address are not accepted here."}
	}
	list := []endpoint{
		{rule: ruleAuth, event: jwtauth.EventLogin, method: "POST", path: "/auth", limit: jwtauth.LimitLogin, on: true,
			off: offOr(45, 45), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode},
			handle: (*call).authenticate, failures: loginFailures},
		{rule: ruleRefresh, event: jwtauth.EventRefresh, method: "POST", path: "/auth/refresh", limit: jwtauth.LimitRefresh, on: true,
			off: offOr(45, 81), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode},
			handle: (*call).refresh, failures: refreshFailures},
		{rule: ruleValidate, event: jwtauth.EventValidate, read: true, method: "GET", path: "/auth/validate", limit: jwtauth.LimitValidate, on: true,
			off: offOr(45, 82), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode, (*call).checkPresent},
			handle: (*call).validate},
		{rule: ruleRevoke, event: jwtauth.EventRevoke, method: "POST", path: "/auth/revoke", limit: jwtauth.LimitRevoke, on: true,
			off: offOr(45, 83), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode, (*call).checkPresent},
			handle: (*call).revoke},
		{rule: ruleRegister, event: jwtauth.EventRegister, method: "POST", path: "/users", limit: jwtauth.LimitRegister, on: api.cfg.Register,
			off: offOr(31, 31), address: address(33), code: codeOr(32), checks: []check{(*call).checkRegisterCode, (*call).checkAddress},
			handle: (*call).register, failures: registerFailures},
		{rule: ruleDelete, event: jwtauth.EventAccountDelete, method: "DELETE", path: "/users", limit: jwtauth.LimitDelete, on: api.cfg.Delete,
			off: offOr(39, 39), address: address(41), code: codeOr(40), checks: []check{(*call).checkPresent, (*call).checkCode, (*call).checkAddress},
			handle: (*call).deleteUser, failures: deleteFailures},
		{rule: ruleReset, event: jwtauth.EventForgot, method: "POST", path: "/user/reset_password", limit: jwtauth.LimitForgot, on: api.cfg.ResetPassword,
			off: offOr(56, 56), address: address(41), code: codeOr(58), checks: []check{(*call).checkCode, (*call).checkAddress},
			handle: (*call).sendReset, failures: resetFailures(api.cfg.Version)},
		{rule: ruleReset, event: jwtauth.EventReset, method: "PUT", path: "/user/reset_password", limit: jwtauth.LimitReset, on: api.cfg.ResetPassword,
			off: offOr(56, 56), address: address(41), code: codeOr(58), checks: []check{(*call).checkCode, (*call).checkAddress},
			handle: (*call).changePassword, failures: resetFailures(api.cfg.Version)},
		{rule: ruleAutoLogin, event: jwtauth.EventAutoLogin, method: "GET", path: "/autologin", limit: jwtauth.LimitAutoLogin, on: api.cfg.AutoLogin,
			off: offOr(26, 26), address: address(28), code: codeOr(27), checks: []check{(*call).checkPresent, (*call).checkCode, (*call).checkAddress},
			handle: (*call).autoLogin},
		{rule: ruleDocument, method: "GET", path: "/openapi.json", on: true, off: &failure{wordPress: wprest.NoRoute()},
			address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode}, handle: (*call).document},
	}
	for i, e := range list {
		list[i].on = e.on && !api.cfg.Access.Endpoints[e.rule].Off
		e = list[i]
		switch {
		case e.rule == ruleDocument:
			continue
		case e.method == "GET": // the page of an auto-login posts back
			e.method = "POST"
		case e.rule == ruleRegister && !v4:
			e.path = "/register"
		default:
			continue
		}
		list = append(list, e)
	}
	return list
}

// Handler answers the paths below the namespace: "/auth", "/auth/refresh",
// "/users" and so on, also with a slash at the end. Package compat mounts it in
// both addressings; elsewhere mount it with [http.StripPrefix], and put
// [jwtauth.Auth.CORS] around it where pages of other origins call.
func (api *API) Handler() http.Handler { return api }

// ServeHTTP is that of Handler.
func (api *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { api.router.ServeHTTP(w, r) }

// Routes returns the endpoints one by one, by the names that [Config].Access has
// for them. Package compat lists them in its index.
func (api *API) Routes() (routes []jwtauth.Route) {
	for _, e := range api.endpoints() {
		routes = append(routes, jwtauth.Route{Name: e.rule, Method: e.method, Path: e.path, Handler: api.serve(e)})
	}
	return routes
}

// call is one request on its way through an endpoint.
type call struct {
	api *API
	endpoint
	w  http.ResponseWriter
	r  *http.Request
	in params

	jwt    string // the access token that it brings, if any
	jwtErr error
	id     *jwtauth.Identity // who asks, once that was verified
	// given is the auth code that was accepted, if one was asked for.
	given jwtauth.AuthCode
}

// serve makes a handler of an endpoint. Every outcome leaves through finish.
func (api *API) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{api: api, endpoint: e, w: w, r: r}
		body, err := c.answer()
		c.finish(body, err)
	})
}

// finish is the one way out: it sees that there is a record, and answers.
func (c *call) finish(body any, err error) {
	if _, done := body.(written); done {
		return
	}
	if c.event != "" {
		err = c.api.limits.Finish(c.r, "simple-jwt-login "+c.rule, jwtauth.Outcome{Event: c.event, Read: c.read, Identity: c.id, Err: err})
	}
	if err != nil {
		c.fail(c.translate(err))
		return
	}
	if to, ok := body.(redirect); ok {
		to.write(c.w)
		return
	}
	wprest.WriteJSON(c.w, http.StatusOK, body)
}

// written is the reply of a handler that has answered already.
type written struct{}

// redirect is the reply that sends a browser somewhere.
type redirect struct {
	location string
	status   int
}

func (to redirect) write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to.location)
	w.WriteHeader(to.status)
}

// answer reads the request, counts it, and goes through the checks. The limit
// counts requests that can't be read too.
func (c *call) answer() (body any, err error) {
	defer func() {
		switch p := recover(); {
		case p == http.ErrAbortHandler: // net/http gives it a meaning
			panic(p)
		case p != nil:
			body, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	var errRead, errLimit error
	c.in, errRead = readParams(c.w, c.r)
	c.jwt, c.jwtErr = c.findToken()
	c.r, _, errLimit = c.api.limits.Admit(c.w, c.r, jwtauth.Admission{Endpoint: c.rule, Limit: c.limit,
		Token: c.jwt, RefreshToken: c.in.text("refresh_token")})
	switch {
	case errLimit != nil:
		return nil, errLimit
	case !c.on:
		return nil, c.off
	case errRead != nil:
		return nil, errRead
	case c.jwtErr != nil:
		return nil, c.jwtErr
	}
	for _, check := range c.checks {
		if err := check(c); err != nil {
			return nil, err
		}
	}
	return c.handle(c)
}

// checkAddress applies the rule of the endpoint, but for its code.
func (c *call) checkAddress() error {
	_, _, err := c.api.addresses.Admit(c.w, c.r, jwtauth.Admission{Endpoint: c.rule, Token: c.jwt})
	if errors.Is(err, jwtauth.ErrForbidden) {
		return c.address.because(err)
	}
	return err
}

// checkCode asks for an auth code where the endpoint wants one. V4 tells one
// that is missing from one that is wrong.
func (c *call) checkCode() error {
	var err error
	_, c.given, err = c.api.codes.Admit(c.w, c.r, jwtauth.Admission{Endpoint: c.rule, Code: c.authCode()})
	switch {
	case !errors.Is(err, jwtauth.ErrAuthCode):
		return err
	case c.api.cfg.Version == V4 && c.authCode() == "":
		return &failure{number: 94, message: "An auth code is required.", cause: err}
	}
	return c.code.because(err)
}

// checkRegisterCode is checkCode for an endpoint where a code is checked if it
// is there at all.
func (c *call) checkRegisterCode() error {
	if !c.api.cfg.Access.Endpoints[c.rule].Code && c.authCode() == "" {
		return nil
	}
	return c.checkCode()
}

func (c *call) authCode() string {
	for _, name := range c.api.cfg.AuthCodeNames {
		if code := c.in.text(name); code != "" {
			return code
		}
	}
	return ""
}

// checkPresent asks for an access token, of whatever worth.
func (c *call) checkPresent() error {
	switch {
	case c.jwt != "":
		return nil
	case c.rule == ruleDelete:
		return &failure{number: 42, message: errMissingJWT.message, cause: jwtauth.ErrMissingToken}
	case c.rule == ruleAutoLogin:
		return &failure{number: 23, message: errMissingJWT.message, cause: jwtauth.ErrMissingToken}
	}
	return errMissingJWT
}

// document answers GET /openapi.json.
func (*call) document() (any, error) { return wprest.Document(openapi.SimpleJWTLogin()), nil }

// identity verifies the access token of the request.
func (c *call) identity() (id *jwtauth.Identity, err error) {
	c.id, err = c.api.auth.Verify(c.r.Context(), c.jwt)
	return c.id, err
}

// fail answers with a failure, or sends a browser to where failures are shown.
func (c *call) fail(f *failure) {
	if page := c.api.cfg.AutoLoginFailure; page != "" && c.rule == ruleAutoLogin && c.on {
		redirect{failureTarget(page, f), http.StatusFound}.write(c.w)
		return
	}
	c.api.writeFailure(c.w, f)
}

func (api *API) writeFailure(w http.ResponseWriter, f *failure) {
	status := api.cfg.Version.statusOf(f)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	var e *jwtauth.Error
	if errors.As(f, &e) && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(e.RetryAfter), 10))
	}
	if f.wordPress != nil {
		wprest.WriteError(w, f.wordPress)
		return
	}
	wprest.WriteJSON(w, status, f.body())
}

// seconds rounds up: who waits that long is not refused again.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
