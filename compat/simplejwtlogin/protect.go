package simplejwtlogin

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

var (
	errNoAccess = &failure{number: 403, status: 403, message: "You are not allowed to use this address.", kind: "simple-jwt-login-route-protect"}
	errNoRole   = &failure{number: 114, message: "You do not have a role that may use this address."}
)

// Authenticate identifies the callers of a host's own handlers by the tokens of
// this dialect, wherever [TokenSources] looks for them; [jwtauth.FromContext]
// then has the identity. As in the original a token that is not accepted is
// refused, also where an anonymous caller may go on. In a body no token is
// looked for: that is the handler's.
func (api *API) Authenticate(next http.Handler) http.Handler {
	identified := api.auth.Authenticate(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, r, err := api.identify(r)
		if err != nil {
			api.writeFailure(w, api.middlewareFailure(err))
			return
		}
		identified.ServeHTTP(w, r)
	})
}

// identify returns who calls, nil for nobody, and the request with the token
// where the middleware of package jwtauth looks for it.
func (api *API) identify(r *http.Request) (*jwtauth.Identity, *http.Request, error) {
	c := &call{api: api, r: r, in: params{}}
	if err := c.in.addForm(r.URL.RawQuery); err != nil {
		return nil, r, err
	}
	token, err := c.findToken()
	if err != nil || token == "" {
		return nil, r, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	id, err := api.auth.Verify(r.Context(), token)
	return id, r, err
}

func (api *API) middlewareFailure(err error) *failure {
	f := *endpoint{}.translate(err)
	f.kind = "simple-jwt-login-middleware"
	if api.cfg.Version == V4 {
		status := V4.statusOf(&f)
		f.wordPress = &wprest.Error{Code: "simple_jwt_login_middleware_error", Message: f.message, Status: status,
			Data: map[string]any{"error_code": f.number}}
	}
	return &f
}

// Protect guards a host's own handlers by rules, as [jwtauth.Auth.Protect] does,
// with the tokens and the answers of this dialect. A request that names its
// route by rest_route gets the stricter verdict of both readings; the patterns
// then are those of the address below prefix, "/wp-json" for example.
//
// Mount the dialect itself beside it, not behind it.
func (api *API) Protect(prefix string, rules ...jwtauth.ProtectRule) (func(http.Handler) http.Handler, error) {
	protection, err := jwtauth.NewProtection(rules...)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		identified := api.auth.Authenticate(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, r, err := api.identify(r)
			if refusal := api.judge(protection, r, prefix, id, err); refusal != nil {
				api.writeFailure(w, api.protectFailure(refusal))
				return
			}
			identified.ServeHTTP(w, r)
		})
	}, nil
}

// judge applies the rules to every reading of a request. What is public takes
// no notice of a token that is not accepted; a store that does not answer is
// another matter.
func (api *API) judge(p *jwtauth.Protection, r *http.Request, prefix string, id *jwtauth.Identity, errToken error) error {
	if errToken != nil && !errors.Is(errToken, jwtauth.ErrInvalidToken) {
		return errToken
	}
	for _, reading := range readings(r, prefix) {
		public, roles := p.Demands(reading)
		switch {
		case public:
		case errToken != nil:
			return errToken
		case id == nil:
			return errNoAccess
		case len(roles) > 0 && !id.HasRole(roles...):
			return errNoRole
		}
	}
	return nil
}

// readings are the routes that a request can be taken for.
func readings(r *http.Request, prefix string) []*http.Request {
	out := []*http.Request{r}
	for name, values := range r.URL.Query() {
		if name != "rest_route" {
			continue
		}
		for _, route := range values {
			named := r.Clone(r.Context())
			named.URL = &url.URL{Path: prefix + route}
			out = append(out, named)
		}
	}
	return out
}

// protectFailure is what V3 says in one way and V4 in several.
func (api *API) protectFailure(err error) *failure {
	f := endpoint{}.translate(err)
	switch {
	case f.status >= http.StatusInternalServerError:
		return f
	case api.cfg.Version == V3:
		return errNoAccess.because(err)
	case f == errNoAccess:
		return &failure{number: 75, message: f.message}
	}
	return f
}
