package simplejwtlogin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// API is the dialect for one [jwtauth.Auth]. Make one with [New]; it is safe for
// concurrent use.
type API struct {
	cfg  Config
	auth *jwtauth.Auth // tokens made through it have the payload of cfg
	// limits counts requests, addresses and codes let them in. They are apart
	// since the order of the checks is part of the protocol.
	limits, addresses, codes *jwtauth.Gate
	routes                   map[string]endpoint // by method and path
}

// New checks cfg and reports every mistake at once, joined with [errors.Join].
// The API shares everything with auth: users, limits, locks and revocations.
func New(auth *jwtauth.Auth, cfg Config) (*API, error) {
	cfg = cfg.withDefaults(auth)
	api := &API{cfg: cfg, routes: map[string]endpoint{}}
	view, errTokens := auth.WithTokens(jwtauth.TokenProfile{TTL: cfg.ttl(), Claims: api.claims})
	api.auth = view
	if err := errors.Join(cfg.validate(auth), errTokens, api.newGates(auth)); err != nil {
		return nil, err
	}
	for _, e := range api.endpoints() {
		for _, method := range e.methods {
			api.routes[method+" "+e.path] = e
		}
	}
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
)

var ruleNames = []string{ruleAuth, ruleRefresh, ruleValidate, ruleRevoke, ruleRegister, ruleDelete, ruleReset, ruleAutoLogin}

// newGates divides the rules among the gates. What is off is off before any of
// them is asked. A code that comes with a registration is checked even where
// none is asked for, since it brings a role.
func (api *API) newGates(auth *jwtauth.Auth) error {
	addresses, codes := api.cfg.Access, api.cfg.Access
	addresses.Endpoints, codes.Endpoints = map[string]jwtauth.AccessRule{}, map[string]jwtauth.AccessRule{}
	addresses.Codes = nil
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
	rule    string
	path    string
	methods []string
	limit   jwtauth.Limit
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

// with returns a copy that has more failures.
func (f failures) with(more failures) failures {
	out := maps.Clone(f)
	maps.Copy(out, more)
	return out
}

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
		return &failure{number: number, message: "This is not offered here."}
	}
	address := func(number int) *failure {
		return &failure{number: number, message: "Requests from your address are not accepted here."}
	}
	list := []endpoint{
		{rule: ruleAuth, path: "/auth", methods: []string{"POST"}, limit: jwtauth.LimitLogin, on: true,
			off: offOr(45, 45), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode},
			handle: (*call).authenticate, failures: loginFailures},
		{rule: ruleRefresh, path: "/auth/refresh", methods: []string{"POST"}, limit: jwtauth.LimitRefresh, on: true,
			off: offOr(45, 81), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode},
			handle: (*call).refresh, failures: refreshFailures(api.cfg.Version)},
		{rule: ruleValidate, path: "/auth/validate", methods: []string{"GET", "POST"}, limit: jwtauth.LimitValidate, on: true,
			off: offOr(45, 82), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode, (*call).checkPresent},
			handle: (*call).validate},
		{rule: ruleRevoke, path: "/auth/revoke", methods: []string{"POST"}, limit: jwtauth.LimitRevoke, on: true,
			off: offOr(45, 83), address: address(41), code: codeOr(27), checks: []check{(*call).checkAddress, (*call).checkCode, (*call).checkPresent},
			handle: (*call).revoke},
		{rule: ruleRegister, path: "/users", methods: []string{"POST"}, limit: jwtauth.LimitRegister, on: api.cfg.Register,
			off: offOr(31, 31), address: address(33), code: codeOr(32), checks: []check{(*call).checkRegisterCode, (*call).checkAddress},
			handle: (*call).register, failures: registerFailures},
		{rule: ruleDelete, path: "/users", methods: []string{"DELETE"}, limit: jwtauth.LimitDelete, on: api.cfg.Delete,
			off: offOr(39, 39), address: address(41), code: codeOr(40), checks: []check{(*call).checkPresent, (*call).checkCode, (*call).checkAddress},
			handle: (*call).deleteUser, failures: deleteFailures},
		{rule: ruleReset, path: "/user/reset_password", methods: []string{"POST"}, limit: jwtauth.LimitForgot, on: api.cfg.ResetPassword,
			off: offOr(56, 56), address: address(41), code: codeOr(58), checks: []check{(*call).checkCode, (*call).checkAddress},
			handle: (*call).sendReset, failures: resetFailures(api.cfg.Version)},
		{rule: ruleReset, path: "/user/reset_password", methods: []string{"PUT"}, limit: jwtauth.LimitReset, on: api.cfg.ResetPassword,
			off: offOr(56, 56), address: address(41), code: codeOr(58), checks: []check{(*call).checkCode, (*call).checkAddress},
			handle: (*call).changePassword, failures: resetFailures(api.cfg.Version)},
		{rule: ruleAutoLogin, path: "/autologin", methods: []string{"GET", "HEAD", "POST"}, limit: jwtauth.LimitAutoLogin, on: api.cfg.AutoLogin,
			off: offOr(26, 26), address: address(28), code: codeOr(27), checks: []check{(*call).checkPresent, (*call).checkCode, (*call).checkAddress},
			handle: (*call).autoLogin},
	}
	for i := range list {
		list[i].on = list[i].on && !api.cfg.Access.Endpoints[list[i].rule].Off
		if !v4 && list[i].rule == ruleRegister {
			old := list[i]
			old.path = "/register"
			list = append(list, old)
		}
	}
	return list
}

// Handler answers the paths below the namespace: "/auth", "/auth/refresh",
// "/users" and so on, also with a slash at the end. Mount it below any prefix
// with [http.StripPrefix], with [jwtauth.Auth.CORS] around it where pages of
// other origins call, or let package compat mount it in both addressings.
func (api *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, ok := api.routes[r.Method+" "+strings.TrimSuffix(r.URL.Path, "/")]
		if !ok {
			api.writeFailure(w, errNoRoute)
			return
		}
		api.serve(w, r, e)
	})
}

var errNoRoute = &failure{number: http.StatusNotFound, status: http.StatusNotFound, message: "There is nothing at this address that answers this method.", wordPress: "rest_no_route"}

// call is one request on its way through an endpoint.
type call struct {
	api *API
	endpoint
	w  http.ResponseWriter
	r  *http.Request
	in params

	jwt    string // the access token that it brings, if any
	jwtErr error
	// given is the auth code that was accepted, if one was asked for.
	given jwtauth.AuthCode
}

// serve is where every request ends, whatever becomes of it.
func (api *API) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	defer api.recoverPanic(w, r)
	c := &call{api: api, endpoint: e, w: w, r: r}
	body, err := c.answer()
	if err != nil {
		api.fail(c, e.translate(err))
		return
	}
	switch reply := body.(type) {
	case written:
	case redirect:
		reply.write(w)
	default:
		api.writeJSON(w, http.StatusOK, body)
	}
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
func (c *call) answer() (any, error) {
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
		return &failure{number: 42, message: errMissingJWT.message}
	case c.rule == ruleAutoLogin:
		return &failure{number: 23, message: errMissingJWT.message}
	}
	return errMissingJWT
}

// identity verifies the access token of the request.
func (c *call) identity() (*jwtauth.Identity, error) {
	return c.api.auth.Verify(c.r.Context(), c.jwt)
}

// fail answers with a failure, or sends a browser to where failures are shown.
func (api *API) fail(c *call, f *failure) {
	if status := api.cfg.Version.statusOf(f); status >= http.StatusInternalServerError {
		api.cfg.Logger.ErrorContext(c.r.Context(), "request failed", "route", c.rule,
			"request", jwtauth.ClientFrom(c.r.Context()).RequestID, "error", f)
	}
	if c.rule == ruleAutoLogin && c.on && api.cfg.AutoLoginFailure != "" {
		redirect{failureTarget(api.cfg.AutoLoginFailure, f), http.StatusFound}.write(c.w)
		return
	}
	api.writeFailure(c.w, f)
}

func (api *API) writeFailure(w http.ResponseWriter, f *failure) {
	status := api.cfg.Version.statusOf(f)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	var e *jwtauth.Error
	if errors.As(f.cause, &e) && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(e.RetryAfter), 10))
	}
	api.writeJSON(w, status, f.body(status))
}

// seconds rounds up: who waits that long is not refused again.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

func (api *API) writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // our own types always marshal
		api.cfg.Logger.Error("answer not encoded", "error", err)
		data, status = []byte(`{"success":false}`), http.StatusInternalServerError
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that is gone needs no answer
}

// recoverPanic keeps the process alive. [http.ErrAbortHandler] goes on, since
// net/http gives it a meaning.
func (api *API) recoverPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	api.cfg.Logger.ErrorContext(r.Context(), "panic in a handler", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	api.writeFailure(w, &failure{number: http.StatusInternalServerError, status: http.StatusInternalServerError, message: messageOf(nil)})
}
