package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/strictjson"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// Mode is which of the two plugins is spoken.
type Mode int

// The modes.
const (
	// Free is the plugin of the directory of WordPress: tokens alone.
	Free Mode = iota
	// Pro adds refresh tokens, revocation and the administrator's list.
	Pro
)

// Config is what an [API] can be told. The zero value speaks as the free plugin.
type Config struct {
	// Mode is Free or Pro.
	Mode Mode
	// TTL is how long access tokens live. 0 is the life of all others,
	// [jwtauth.TokenConfig].TTL. The plugins default to 7 days, which clients of
	// the free one may rely on, since it has no refresh; that needs
	// [jwtauth.TokenConfig].MaxTTL as well.
	TTL time.Duration
	// Access restricts the endpoints "token", "validate", "refresh", "revoke",
	// "admin" and "openapi". Codes are asked for as the parameter AUTH_CODE or AUTH_KEY.
	Access jwtauth.AccessConfig
	// AdminRole may see and end the sessions of everybody. Default:
	// "administrator".
	AdminRole string
}

// API answers the routes of the namespace jwt-auth/v1. It is safe for
// concurrent use.
type API struct {
	auth    *jwtauth.Auth
	mode    Mode
	admin   string
	gate    *jwtauth.Gate
	handler http.Handler
	routes  []jwtauth.Route
}

// New makes an API on the accounts and sessions of a.
func New(a *jwtauth.Auth, cfg Config) (*API, error) {
	if cfg.Mode != Free && cfg.Mode != Pro {
		return nil, errors.New("jwtauth: Config.Mode must be Free or Pro")
	}
	view, err := a.WithTokens(jwtauth.TokenProfile{TTL: cfg.TTL, Claims: userClaim})
	if err != nil {
		return nil, err
	}
	api := &API{auth: view, mode: cfg.Mode, admin: cfg.AdminRole}
	if api.admin == "" {
		api.admin = "administrator"
	}
	var names []string
	var routes []wprest.Route
	for _, e := range api.endpoints() {
		names = append(names, e.rule)
		h := api.serve(e)
		routes = append(routes, wprest.Route{Method: e.method, Path: e.path, Handler: h})
		api.routes = append(api.routes, jwtauth.Route{Name: e.name, Method: e.method, Path: e.path, Handler: h})
	}
	if api.gate, err = a.NewGate(cfg.Access, names...); err != nil {
		return nil, fmt.Errorf("jwtauth: jwt-auth/v1: %w", err)
	}
	api.handler = wprest.Router(routes)
	return api, nil
}

// userClaim is what clients read from the payload: data.user.id, a string as in
// the originals.
func userClaim(_ context.Context, u jwtauth.User, _ jwtauth.Session) (map[string]any, error) {
	return map[string]any{"data": map[string]any{"user": map[string]any{"id": u.ID}}}, nil
}

// endpoint is one route. An outcome is the body of a 200, or an error; event is
// what it is recorded as, where the core has not done so, and "" for what is
// public and leaves no record.
type endpoint struct {
	name, rule, method, path string
	limit                    jwtauth.Limit
	event                    string
	read                     bool
	handle                   func(*call) (any, error)
}

func (api *API) endpoints() []endpoint {
	list := []endpoint{
		{"token", "token", "POST", "/token", jwtauth.LimitLogin, jwtauth.EventLogin, false, (*call).token},
		{"validate", "validate", "POST", "/token/validate", jwtauth.LimitValidate, jwtauth.EventValidate, true, (*call).validate},
		{"openapi", "openapi", "GET", "/openapi.json", "", "", true, (*call).document},
	}
	if api.mode == Free {
		return list
	}
	return append(list,
		endpoint{"refresh", "refresh", "POST", "/token/refresh", jwtauth.LimitRefresh, jwtauth.EventRefresh, false, (*call).refresh},
		endpoint{"revoke", "revoke", "POST", "/token/revoke", jwtauth.LimitRevoke, jwtauth.EventRevoke, false, (*call).revoke},
		endpoint{"admin-list", "admin", "GET", "/admin/tokens", "", jwtauth.EventReadSessions, true, (*call).listTokens},
		endpoint{"admin-get", "admin", "GET", "/admin/tokens/{id}", "", jwtauth.EventReadSessions, true, (*call).getToken},
		endpoint{"admin-revoke", "admin", "PUT", "/admin/tokens/{id}", "", jwtauth.EventSessionEnd, false, (*call).revokeToken},
		endpoint{"admin-delete", "admin", "DELETE", "/admin/tokens/{id}", "", jwtauth.EventSessionEnd, false, (*call).deleteToken},
	)
}

// Routes returns the routes, for other routers.
func (api *API) Routes() []jwtauth.Route { return append([]jwtauth.Route(nil), api.routes...) }

// ServeHTTP answers the paths below the namespace, such as /token/validate.
func (api *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { api.handler.ServeHTTP(w, r) }

// call is one request.
type call struct {
	api    *API
	w      http.ResponseWriter
	r      *http.Request
	params wprest.Params
	id     *jwtauth.Identity // who asks, once that was verified
}

// serve makes a handler of an endpoint. Every outcome leaves through finish.
func (api *API) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{api: api, w: w, r: r}
		body, err := c.answer(e)
		c.finish(e, body, err)
	})
}

func (c *call) answer(e endpoint) (body any, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			body, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	params, badBody := wprest.Read(c.w, c.r, parseJSON)
	c.params = params
	if err := c.admit(e); err != nil {
		return nil, err
	}
	if badBody != nil {
		return nil, badBody
	}
	return e.handle(c)
}

// admit counts the request, whatever is in it, and applies the host's rules. A
// parameter that can't be read is as good as absent here.
func (c *call) admit(e endpoint) error {
	ad := jwtauth.Admission{Endpoint: e.rule, Limit: e.limit}
	ad.Token, _ = c.header()
	if e.limit == jwtauth.LimitRefresh {
		ad.RefreshToken, _, _ = c.params.Text("refresh_token")
	}
	for _, name := range []string{"AUTH_CODE", "AUTH_KEY"} {
		if ad.Code == "" {
			ad.Code, _, _ = c.params.Text(name)
		}
	}
	var err error
	c.r, _, err = c.api.gate.Admit(c.w, c.r, ad)
	return err
}

// finish is the one way out: it sees that there is a record, and answers. If
// there can't be one, nothing else is answered.
func (c *call) finish(e endpoint, body any, err error) {
	if e.event != "" {
		err = c.record(e, err)
	}
	if err != nil {
		c.api.writeError(c.w, err)
		return
	}
	wprest.WriteJSON(c.w, http.StatusOK, body)
}

// record returns what is to be answered: err, or the fault that kept it from
// being recorded.
func (c *call) record(e endpoint, err error) error {
	told := recorded(err)
	outcome := jwtauth.Outcome{Event: e.event, Read: e.read, Identity: c.id, Err: told}
	if fault := c.api.gate.Finish(c.r, "jwt-auth "+e.name, outcome); fault != told {
		return fault
	}
	return err
}

// document answers GET /openapi.json.
func (*call) document() (any, error) { return wprest.Document(openapi.JWTAuth()), nil }

var bodyLimits = strictjson.Limits{Depth: 8, Members: 64}

// members reads JSON for package wprest.
type members struct{ strictjson.Members }

// Text implements [wprest.Members].
func (m members) Text(name string) (string, bool, bool) {
	v := m.Get(name)
	s, ok := v.String()
	return s, v.Kind() != strictjson.Missing, ok
}

func parseJSON(data []byte) (wprest.Members, error) {
	m, err := strictjson.Parse(data, bodyLimits, nil)
	return members{m}, err
}

// token logs in.
func (c *call) token() (any, error) {
	username, password, err := c.credentials()
	if err != nil {
		return nil, err
	}
	g, err := c.api.auth.Login(c.r.Context(), jwtauth.Credentials{Login: username, Password: password})
	if err != nil {
		return nil, failed(err)
	}
	body := tokenBody{Token: g.AccessToken, userBody: viewUser(g.User)}
	if c.api.mode == Free {
		return body, nil
	}
	return proBody{UserID: wprest.ID(g.User.ID), RefreshToken: g.RefreshToken, tokenBody: body}, nil
}

// credentials reads what the Pro plugin declares as required, so that it is
// missed before anything else; to the free one an absent name is a wrong one.
func (c *call) credentials() (username, password string, err error) {
	if c.api.mode == Pro {
		both, e := c.params.Required("username", "password")
		if e != nil {
			return "", "", e
		}
		return both[0], both[1], nil
	}
	username, _, e := c.params.Text("username")
	if e == nil {
		password, _, e = c.params.Text("password")
	}
	if e != nil {
		return "", "", e
	}
	return username, password, nil
}

// userBody is what the answers say of a user.
type userBody struct {
	Email       string `json:"user_email"`
	Nicename    string `json:"user_nicename"`
	DisplayName string `json:"user_display_name"`
}

type tokenBody struct {
	Token string `json:"token"`
	userBody
}

type proBody struct {
	tokenBody
	UserID       wprest.ID `json:"user_id"`
	RefreshToken string    `json:"refresh_token"`
}

// refreshBody has the names of both of the plugin's descriptions.
type refreshBody struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	TokenType    string    `json:"token_type"`
	ExpiresIn    int64     `json:"expires_in"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	UserID       wprest.ID `json:"user_id"`
	userBody
}

func viewUser(u jwtauth.User) userBody {
	return userBody{Email: u.Email, Nicename: nicename(u), DisplayName: u.DisplayName}
}

func nicename(u jwtauth.User) string {
	return wprest.NicenameOf(u.Meta[jwtauth.MetaNicename], u.Login, u.ID)
}

type stateBody struct {
	Code string    `json:"code"`
	Data stateData `json:"data"`
}

type stateData struct {
	Status    int    `json:"status"`
	RevokedAt string `json:"revoked_at,omitempty"`
}

// validate answers for the token of the header.
func (c *call) validate() (any, error) {
	if _, err := c.verified(); err != nil {
		return nil, err
	}
	return stateBody{"jwt_auth_valid_token", stateData{Status: http.StatusOK}}, nil
}

// verified returns the token of the header if it is good.
func (c *call) verified() (token string, err error) {
	if token, err = c.header(); err != nil {
		return "", err
	}
	if c.id, err = c.api.auth.Verify(c.r.Context(), token); err != nil {
		return "", err
	}
	// Who was deleted a moment ago has a token until it is known to be revoked.
	if _, err = c.api.auth.UserByID(c.r.Context(), c.id.UserID); errors.Is(err, jwtauth.ErrNotFound) {
		err = jwtauth.ErrInvalidToken
	}
	return token, err
}

const refreshPrefix = "jr1."

// refresh takes the refresh token, or else, from clients that know no other
// way, the access token of the header; then only an access token comes back.
func (c *call) refresh() (any, error) {
	token, given, e := c.params.Text("refresh_token")
	if e != nil {
		return nil, e
	}
	switch {
	case given && !strings.HasPrefix(token, refreshPrefix):
		return nil, jwtauth.ErrInvalidRefreshToken // an access token does not belong there
	case !given:
		var err error
		if token, err = c.header(); errors.Is(err, errNoHeader) {
			return nil, wprest.MissingParams("refresh_token")
		} else if err != nil {
			return nil, err
		}
	}
	g, err := c.api.auth.Refresh(c.r.Context(), token)
	if err != nil {
		return nil, err
	}
	life := g.ExpiresAt.Sub(c.api.auth.Now().Truncate(time.Second))
	return refreshBody{Token: g.AccessToken, AccessToken: g.AccessToken, TokenType: g.TokenType, ExpiresIn: max(0, int64(life/time.Second)),
		RefreshToken: g.RefreshToken, UserID: wprest.ID(g.User.ID), userBody: viewUser(g.User)}, nil
}

// revoke ends the session of the token in the header. It must still be good:
// the plugin says of any other what validate says.
func (c *call) revoke() (any, error) {
	token, err := c.verified()
	if err != nil {
		return nil, err
	}
	if err := c.api.auth.Revoke(c.r.Context(), token); err != nil {
		return nil, err
	}
	return stateBody{"jwt_auth_token_revoked", stateData{http.StatusOK, sqlTime(c.api.auth.Now())}}, nil
}

// sqlTime writes a time as WordPress keeps it: UTC, without saying so.
func sqlTime(t time.Time) string { return t.UTC().Format(time.DateTime) }
