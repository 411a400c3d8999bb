package jwtauth

import (
	"net/http"
	"strings"
)

// Authenticate identifies the callers of a host's own routes as the plugin does:
// with a good token [jwtauth.FromContext] has the identity behind it, without one
// the caller is anonymous. What becomes of a bad token is where the two differ.
// The free plugin refuses the request, even where everybody is welcome, with
// the answer that /token/validate gives; to Pro the caller is anonymous.
//
// A header of another scheme, such as Basic, is none of our business and passes.
// Behind it, [jwtauth.Auth.Require] refuses anonymous callers.
func (api *API) Authenticate(next http.Handler) http.Handler {
	identified := api.auth.Authenticate(next)
	if api.mode == Pro {
		return identified
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := api.judge(r); err != nil {
			api.auth.Explain(w, r, err)
			api.writeError(w, err)
			return
		}
		identified.ServeHTTP(w, r)
	})
}

// judge refuses a bad token of the scheme Bearer.
func (api *API) judge(r *http.Request) error {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil
	}
	if scheme, _, _ := strings.Cut(values[0], " "); len(values) == 1 && !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	token, err := bearer(r.Header)
	if err != nil {
		return err
	}
	_, err = api.auth.Verify(r.Context(), token)
	return err
}
