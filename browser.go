package jwtauth

import "net/http"

// RefreshCookies goes on with the login of a browser whose access token has
// expired, by the refresh token in its cookie, and sets both cookies anew: for
// pages of a host. It needs [CookieConfig.Enabled], and refuses a request that
// another site made the browser send. A browser that has no such cookie is
// [ErrInvalidRefreshToken]; other errors are those of [Auth.Refresh].
//
// Scripts that call the API do the same by POST /token/refresh. Call it for POST
// alone, and behind a [Gate] with [LimitRefresh].
func (a *Auth) RefreshCookies(w http.ResponseWriter, r *http.Request) (*Grant, error) {
	token, err := a.cookieToken(r, refreshCookie)
	if err == nil && token == "" {
		err = ErrInvalidRefreshToken
	}
	if err != nil {
		return nil, a.refused(r.Context(), Event{Name: EventRefresh}, err)
	}
	g, err := a.Refresh(r.Context(), token)
	if err != nil {
		return nil, err
	}
	return g, a.SetCookies(w, r, g)
}

// HasRefreshCookie reports whether a browser may go on with
// [Auth.RefreshCookies]. Whether the token in it is good is not looked at.
func (a *Auth) HasRefreshCookie(r *http.Request) bool {
	return a.cfg.Cookies.Enabled && len(r.CookiesNamed(refreshCookie)) == 1
}
