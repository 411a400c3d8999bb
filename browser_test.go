package jwtauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func TestRefreshCookies(t *testing.T) {
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true })
	g := register(t, a, "alice")
	c.Add(2 * time.Hour)
	for _, tc := range []struct {
		name, cookie, site string
		code               string
	}{
		{"a good cookie goes on", g.RefreshToken, "same-origin", ""},
		{"a cookie is used again within the grace", g.RefreshToken, "same-origin", ""},
		{"no cookie refused", "", "same-origin", "jwt_auth_invalid_refresh_token"},
		{"a made-up cookie refused", "jr1.AAAA", "same-origin", "jwt_auth_invalid_refresh_token"},
		{"a request from another site refused", g.RefreshToken, "cross-site", "cross_origin_refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w := httptest.NewRequest("POST", "/", nil), httptest.NewRecorder()
			r.Header.Set("Sec-Fetch-Site", tc.site)
			if tc.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "__Host-jwtauth-refresh", Value: tc.cookie})
			}
			if has := a.HasRefreshCookie(r); has != (tc.cookie != "") {
				t.Errorf("there is a cookie: %v", has)
			}
			grant, err := a.RefreshCookies(w, r)
			set := strings.Join(w.Header().Values("Set-Cookie"), " ")
			if jwtauth.Code(err) != tc.code || (err == nil) != strings.Contains(set, "__Host-jwtauth=") {
				t.Fatalf("%v, cookies %q", err, set)
			}
			if err == nil && must(a.Verify(bg, grant.AccessToken))(t).SessionID != g.Session.ID {
				t.Error("another session")
			}
		})
	}
	off, _ := newAuth(t)
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-jwtauth-refresh", Value: g.RefreshToken})
	if _, err := off.RefreshCookies(httptest.NewRecorder(), r); err == nil || off.HasRefreshCookie(r) {
		t.Error("cookies are read where they are off")
	}
}
