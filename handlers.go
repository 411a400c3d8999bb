package jwtauth

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// Route is one endpoint of the native API, to be mounted on any router.
type Route struct {
	// Name is stable, for example "login".
	Name string
	// Method and Path are in the syntax of [http.ServeMux], without a
	// prefix, for example "DELETE" and "/sessions/{id}".
	Method, Path string
	// Handler answers it. On a router that does not set
	// [http.Request.PathValue], copy the parameter with
	// [http.Request.SetPathValue] first.
	Handler http.Handler
}

// endpoint is one route before it becomes a handler.
type endpoint struct {
	name, method, path string
	// limit is what a request counts on; "" for none.
	limit Limit
	// event names the record of its outcome where the service has left none; "" for
	// what is public and has no outcome worth a record.
	event string
	// handle returns the body of a 200, or an error.
	handle func(*call) (any, error)
}

// reads reports whether a request changes nothing: see [AuditConfig.SkipReads].
func (e endpoint) reads() bool { return e.method == "GET" || e.event == EventValidate }

// call is one request on its way through an endpoint.
type call struct {
	auth *Auth
	w    http.ResponseWriter
	r    *http.Request
	in   input

	// code is the one that was given where one is asked for.
	code AuthCode

	once onceIdentity

	// answered says that the handler has written its answer by itself.
	answered bool
}

// Routes returns the endpoints of the native API. Each handler is complete:
// it limits, decodes, answers and recovers by itself.
func (a *Auth) Routes() []Route {
	var routes []Route
	for _, e := range a.endpoints() {
		routes = append(routes, Route{Name: e.name, Method: e.method, Path: e.path, Handler: a.serve(e)})
	}
	return routes
}

func (a *Auth) endpoints() []endpoint {
	return slices.Concat([]endpoint{
		{"token", "POST", "/token", LimitLogin, EventLogin, (*call).login},
		{"login", "POST", "/login", LimitLogin, EventLogin, (*call).login},
		{"validate", "POST", "/token/validate", LimitValidate, EventValidate, (*call).validate},
		{"refresh", "POST", "/token/refresh", LimitRefresh, EventRefresh, (*call).refresh},
		{"revoke", "POST", "/token/revoke", LimitRevoke, EventRevoke, (*call).revoke},
		{revokeAlias, "POST", "/revoke", LimitRevoke, EventRevoke, (*call).revoke},
		{"register", "POST", "/register", LimitRegister, EventRegister, (*call).register},
		{"change-password", "POST", "/change-password", LimitChangePassword, EventPasswordChange, (*call).changePassword},
		{"me", "GET", "/me", "", EventReadAccount, (*call).me},
		{"delete-me", "DELETE", "/me", LimitDelete, EventAccountDelete, (*call).deleteMe},
		{"sessions", "GET", "/sessions", "", EventReadSessions, (*call).sessions},
		{"end-session", "DELETE", "/sessions/{id}", "", EventSessionEnd, (*call).endSession},
		{"end-other-sessions", "DELETE", "/sessions", "", EventSessionEnd, (*call).endOtherSessions},
		{"jwks", "GET", "/.well-known/jwks.json", "", "", (*call).jwks},
		{"openapi", "GET", "/openapi.json", "", "", (*call).openapi},
	}, a.auditEndpoints(), a.recoveryEndpoints(), a.autoLoginEndpoints())
}

// endpointNames are those that a rule can be for.
func (a *Auth) endpointNames() (names []string) {
	for _, e := range a.endpoints() {
		names = append(names, ruleName(e))
	}
	return names
}

// Handler returns the native API as one handler, with [Auth.CORS] around it.
// Mount it below a prefix with [http.StripPrefix]. Unknown paths are 404, other
// methods 405 with Allow, both in the JSON of every error.
func (a *Auth) Handler() http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, route := range a.Routes() {
		mux.Handle(route.Method+" "+route.Path, route.Handler)
		allowed[route.Path] = append(allowed[route.Path], route.Method)
	}
	for path, methods := range allowed {
		mux.Handle(path, a.methodNotAllowed(methods))
	}
	mux.HandleFunc("/", a.notFound)
	return a.CORS(a.strictPath(mux))
}

// strictPath answers paths that a mux would clean up and redirect: below a
// stripped prefix the redirect would lead elsewhere, and two spellings of one
// path invite rules that see only one of them.
func (a *Auth) strictPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p == "" || p[0] != '/' || path.Clean(p) != p || r.URL.RawPath != "" {
			a.notFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *Auth) notFound(w http.ResponseWriter, r *http.Request) { a.refuse(w, r, errNoRoute) }

func (a *Auth) methodNotAllowed(methods []string) http.Handler {
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		a.refuse(w, r, errMethod)
	})
}

// serve makes a handler of an endpoint: read, limit, handle, answer. The limit
// counts requests with a bad body too.
func (a *Auth) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{auth: a, w: w, r: r.WithContext(a.answering(w, r))}
		defer c.recoverPanic(e)
		timer := a.meter.request(c.r.Context(), e.name)
		body, err := c.answer(e)
		err = c.recordOutcome(e, err)
		timer.end(&err)
		if err != nil {
			writeError(w, err)
			return
		}
		if body != nil {
			writeJSON(w, body)
		}
	})
}

func (c *call) answer(e endpoint) (any, error) {
	in, readErr := readInput(c.w, c.r, e.name == confirmName)
	c.in = in
	var err error
	if c.code, err = c.auth.native.pass(c.w.Header(), c.r, ruleName(e), e.limit, c); err != nil {
		return nil, err
	}
	if readErr != nil {
		return nil, readErr
	}
	if e.method == "POST" || e.method == "DELETE" {
		if err := c.auth.guardAnswer(c.r); err != nil {
			return nil, err
		}
	}
	return e.handle(c)
}

const (
	confirmName = "autologin-confirm"
	// revokeAlias is a second address of revoke, which some clients use.
	revokeAlias = "revoke-alias"
)

// ruleName is the name under which an endpoint is restricted: the page of
// auto-login and what it posts are one, as are two addresses of one thing.
func ruleName(e endpoint) string {
	switch e.name {
	case confirmName:
		return "autologin"
	case revokeAlias:
		return "revoke"
	}
	return e.name
}

// recoverPanic keeps the process alive. [http.ErrAbortHandler] goes on, since
// net/http gives it a meaning.
func (c *call) recoverPanic(e endpoint) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	c.auth.log.ErrorContext(c.r.Context(), "panic in a handler", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if e.event != "" {
		_ = c.auth.refused(c.r.Context(), Event{Name: e.event}, errInternal)
	}
	writeError(c.w, errInternal)
}

// token returns the access token of a request: from the Authorization header
// or the member "token" of the body, else from the cookie where cookies are on.
// Two different ones are an error.
func (c *call) token() (string, error) {
	header, err := bearer(c.r.Header)
	if err != nil {
		return "", err
	}
	body := c.in.text("token")
	if err := c.in.err(); err != nil {
		return "", err
	}
	switch {
	case header == "" && body == "":
		cookie, err := c.auth.cookieToken(c.r, accessCookie)
		if err == nil && cookie == "" {
			err = ErrMissingToken
		}
		return cookie, err
	case header != "" && body != "" && header != body:
		return "", ErrInvalidInput.saying("The header and the body have different tokens.", "token")
	case header != "":
		return header, nil
	}
	return body, nil
}

// identity verifies the token of a request, once.
func (c *call) identity() (*Identity, error) {
	return c.once.verify(func() (*Identity, error) {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		return c.auth.Verify(c.r.Context(), token)
	})
}

func (c *call) refreshSession() string { return c.auth.RefreshSession(c.in.text("refresh_token")) }

func (c *call) authCode() (string, error) {
	code := c.in.text("AUTH_CODE", "AUTH_KEY")
	return code, c.in.err()
}

// login answers POST /token and POST /login. The member username takes an
// e-mail address as well.
func (c *call) login() (any, error) {
	cred := Credentials{Login: c.in.text("username", "login"), Email: c.in.text("email"), Password: c.in.text("password")}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	g, err := c.auth.Login(c.r.Context(), cred)
	return c.granted(g, err)
}

// granted answers with tokens, in the body and, where they are on, in cookies.
func (c *call) granted(g *Grant, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	c.auth.setCookies(c.w, g)
	return c.auth.viewGrant(c.r.Context(), g)
}

func (c *call) validate() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	u, err := c.auth.UserByID(c.r.Context(), id.UserID)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrInvalidToken.because(reason(ReasonRevoked))
	}
	if err != nil {
		return nil, err
	}
	return viewValid(id, u), nil
}

// refresh takes a refresh token, or else an access token.
func (c *call) refresh() (any, error) {
	token := c.in.text("refresh_token")
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if token != "" && !isRefreshToken(token) {
		return nil, ErrInvalidRefreshToken // an access token has a member of its own
	}
	if token == "" && c.plainToken() == "" {
		cookie, err := c.auth.cookieToken(c.r, refreshCookie)
		if err != nil {
			return nil, err
		}
		if cookie != "" {
			return c.refreshCookie(cookie)
		}
	}
	if token == "" {
		var err error
		if token, err = c.token(); err != nil {
			return nil, err
		}
	}
	g, err := c.auth.Refresh(c.r.Context(), token)
	return c.granted(g, err)
}

// refreshCookie leaves the refresh token out of the body: an injected script, which
// can't read the cookie, would carry off the session by asking for it here.
func (c *call) refreshCookie(token string) (any, error) {
	g, err := c.auth.Refresh(c.r.Context(), token)
	if err != nil {
		return nil, err
	}
	c.auth.setCookies(c.w, g)
	g.RefreshToken = ""
	return c.auth.viewGrant(c.r.Context(), g)
}

// plainToken reports whether the request brings an access token of its own,
// which then goes before any cookie.
func (c *call) plainToken() string {
	return c.r.Header.Get("Authorization") + c.in.text("token")
}

// revoke takes an access token, or a refresh token in its own member.
func (c *call) revoke() (any, error) {
	token := c.in.text("refresh_token")
	if token == "" {
		var err error
		if token, err = c.token(); err != nil {
			return nil, err
		}
	}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.Revoke(c.r.Context(), token); err != nil {
		return nil, err
	}
	c.auth.ClearCookies(c.w)
	return messageBody{"Token revoked successfully."}, nil
}

func (c *call) register() (any, error) {
	reg := Registration{Username: c.in.text("username", "user_login"), Email: c.in.text("email"),
		Password: c.in.text("password"), Name: c.in.text("name", "display_name"), Profile: c.profile()}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if c.code.Role != "" {
		reg.Roles = []string{c.code.Role}
	}
	g, err := c.auth.Register(c.r.Context(), reg)
	if err != nil {
		return nil, err
	}
	if g.User.ID == "" { // private registration
		return messageBody{"Registration received."}, nil
	}
	return c.registered(g)
}

func (c *call) registered(g *Grant) (any, error) {
	user, err := c.auth.viewUser(c.r.Context(), g.User)
	if err != nil {
		return nil, err
	}
	body := registerBody{UserID: wprest.ID(g.User.ID), User: user}
	if g.AccessToken != "" { // else the address is to be confirmed first
		c.auth.setCookies(c.w, g)
		body.TokenResponse, err = c.auth.viewGrant(c.r.Context(), g)
	}
	return body, err
}

// profile reads the profile fields. What is yes or no may be a JSON boolean or
// the words "true" and "false".
func (c *call) profile() map[string]string {
	text, flags := ProfileFields()
	profile := map[string]string{}
	for _, name := range text {
		profile[name] = c.in.text(name)
	}
	for _, name := range flags {
		profile[name] = c.in.flag(name)
	}
	return profile
}

func (c *call) changePassword() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	change := PasswordChange{UserID: id.UserID, Current: c.in.text("current_password", "old_password"),
		New: c.in.text("new_password", "password")}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	err = c.auth.ChangePassword(c.r.Context(), change)
	if errors.Is(err, ErrNotFound) { // the account is gone, as in validate and me
		return nil, ErrInvalidToken.because(reason(ReasonRevoked))
	}
	if err != nil {
		return nil, err
	}
	c.auth.ClearCookies(c.w)
	return messageBody{"Password changed successfully. Please login again."}, nil
}

func (c *call) me() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	u, err := c.auth.UserByID(c.r.Context(), id.UserID)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	return c.auth.viewUser(c.r.Context(), u)
}

func (c *call) deleteMe() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	password := c.in.text("password", "current_password")
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.DeleteOwnAccount(c.r.Context(), id.UserID, password); err != nil {
		return nil, err
	}
	c.auth.ClearCookies(c.w)
	return messageBody{"Account deleted successfully."}, nil
}

func (c *call) sessions() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	list, err := c.auth.Sessions(c.r.Context(), id.UserID)
	if err != nil {
		return nil, err
	}
	body := sessionsBody{Sessions: make([]sessionBody, len(list))}
	for i, s := range list {
		body.Sessions[i] = viewSession(s, id.SessionID)
	}
	return body, nil
}

func (c *call) endSession() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	if err := c.auth.EndSession(c.r.Context(), id.UserID, c.r.PathValue("id")); err != nil {
		return nil, err
	}
	return messageBody{"Session ended."}, nil
}

func (c *call) endOtherSessions() (any, error) {
	id, err := c.identity()
	if err != nil {
		return nil, err
	}
	n, err := c.auth.EndOtherSessions(c.r.Context(), id.UserID, id.SessionID)
	if err != nil {
		return nil, err
	}
	return endedBody{"All other sessions ended.", n}, nil
}

func (c *call) jwks() (any, error) {
	set, err := c.auth.JWKS()
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Cache-Control", publicFor)
	return set, nil
}

// publicFor lets anybody keep what is the same for everybody, for five minutes.
const publicFor = "public, max-age=300"

// openapi answers with the document of this API. It goes out as it is written,
// for people to read.
func (c *call) openapi() (any, error) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", publicFor)
	c.answered = true
	_, _ = c.w.Write(openapi.Native()) // a client that is gone needs no answer
	return nil, nil
}
