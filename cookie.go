package jwtauth

import (
	"errors"
	"net/http"
	"time"
)

// CookieConfig lets browsers carry the tokens in cookies that scripts can't
// read. Both cookies are HttpOnly, Secure, bound to the exact host (the prefix
// __Host-, RFC 6265bis) and SameSite. They are set by every answer that has
// tokens and cleared when the session ends.
//
// Every request that such a cookie authenticates, and every one whose answer
// sets one, must come from the same origin or one of [CORSConfig.Origins]; see
// [http.CrossOriginProtection]. Requests with an Authorization header are not
// affected.
type CookieConfig struct {
	// Enabled switches cookies on.
	Enabled bool
	// Strict sends the cookies only from pages of the same site
	// (SameSite=Strict). Default: also when a link leads here (Lax).
	Strict bool
}

// The names of the cookies.
const (
	accessCookie  = "__Host-jwtauth"
	refreshCookie = "__Host-jwtauth-refresh"
	deviceCookie  = "__Host-jwtauth-device"
)

var errCrossOrigin = &Error{Code: "cross_origin_refused", Message: "This request came from another site."}

// originGuard refuses requests that another site made a browser send.
type originGuard struct{ protection *http.CrossOriginProtection }

func newOriginGuard(cfg CORSConfig) (*originGuard, error) {
	g := &originGuard{http.NewCrossOriginProtection()}
	var errs []error
	trusted, _ := newOrigins("", cfg.Origins, true)
	for _, origin := range trusted {
		errs = append(errs, g.protection.AddTrustedOrigin(origin))
	}
	return g, errors.Join(errs...)
}

func (g *originGuard) check(r *http.Request) error {
	if err := g.protection.Check(r); err != nil {
		return errCrossOrigin.because(err)
	}
	return nil
}

// cookieToken returns the token of a cookie, "" if there is none. Two cookies
// of one name come from somebody who could not replace the first.
func (a *Auth) cookieToken(r *http.Request, name string) (string, error) {
	if !a.cfg.Cookies.Enabled {
		return "", nil
	}
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return "", nil
	}
	return cookies[0].Value, a.guard.check(r)
}

// CheckOrigin refuses a request that a page of another site made a browser send
// (403), but for GET and HEAD, which must change nothing. Handlers of a host
// that take a token from a cookie of their own call it.
func (a *Auth) CheckOrigin(r *http.Request) error { return a.guard.check(r) }

// UsesCookies reports whether [CookieConfig.Enabled] is set.
func (a *Auth) UsesCookies() bool { return a.cfg.Cookies.Enabled }

// guardAnswer refuses a request from another site whose answer would set a
// cookie. A browser sends an Authorization header only if a script of an
// allowed origin has put it there.
func (a *Auth) guardAnswer(r *http.Request) error {
	if !a.cfg.Cookies.Enabled || r.Header.Get("Authorization") != "" {
		return nil
	}
	return a.guard.check(r)
}

// SetCookies stores a grant in the browser that asked for it, where cookies are
// on; elsewhere it does nothing. Handlers of the host's own call it before they
// answer. For a request that another site made a browser send it sets none and
// returns an error, whose status is 403.
func (a *Auth) SetCookies(w http.ResponseWriter, r *http.Request, g *Grant) error {
	if err := a.guardAnswer(r); err != nil {
		return err
	}
	a.setCookies(w, g)
	return nil
}

// setCookies stores a grant in the browser. The refresh cookie lives as long
// as the session; a grant without a refresh token leaves it alone.
func (a *Auth) setCookies(w http.ResponseWriter, g *Grant) {
	if !a.cfg.Cookies.Enabled {
		return
	}
	now := a.now()
	a.setCookie(w, accessCookie, g.AccessToken, g.ExpiresAt.Sub(now))
	if g.RefreshToken != "" {
		a.setCookie(w, refreshCookie, g.RefreshToken, g.Session.Expires.Sub(now))
	}
	if g.DeviceToken != "" { // outlives the session, and proves only that there was one
		a.setCookie(w, deviceCookie, string(g.DeviceToken), deviceTokenTTL)
	}
}

// deviceOf returns the device token of a request, from its header or cookie.
func (a *Auth) deviceOf(r *http.Request) Secret {
	if token := r.Header.Get("X-Device-Token"); token != "" || !a.cfg.Cookies.Enabled {
		return Secret(token)
	}
	if c, err := r.Cookie(deviceCookie); err == nil {
		return Secret(c.Value)
	}
	return ""
}

// ClearCookies removes what SetCookies has set.
func (a *Auth) ClearCookies(w http.ResponseWriter) {
	if a.cfg.Cookies.Enabled {
		a.setCookie(w, accessCookie, "", -time.Second)
		a.setCookie(w, refreshCookie, "", -time.Second)
	}
}

func (a *Auth) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
	if a.cfg.Cookies.Strict {
		c.SameSite = http.SameSiteStrictMode
	}
	if life <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
