package jwtauth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

func TestCORS(t *testing.T) {
	listed := func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{appOrigin, "http://localhost:5173"} }
	off := func(cfg *jwtauth.Config) { cfg.CORS.Off = true }
	both := func(cfg *jwtauth.Config) { listed(cfg); cookies(cfg) }
	cases := []struct {
		name    string
		cfg     func(*jwtauth.Config)
		origins []string
		allow   string // Access-Control-Allow-Origin
	}{
		{"any origin by default", nil, []string{"https://anywhere.test"}, "*"},
		{"no origin asked for, none named", off, nil, ""},
		{"switched off", off, []string{appOrigin}, ""},
		{"listed origin allowed", listed, []string{appOrigin}, appOrigin},
		{"listed local origin allowed", listed, []string{"http://localhost:5173"}, "http://localhost:5173"},
		{"listed origin allowed with cookies", both, []string{appOrigin}, appOrigin},
		{"cookies without a list: none", cookies, []string{appOrigin}, ""},
		{"null refused", listed, []string{"null"}, ""},
		{"other origin refused", listed, []string{"https://evil.test"}, ""},
		{"listed name as a part of another refused", listed, []string{appOrigin + ".evil.test"}, ""},
		{"http instead of https refused", listed, []string{"http://app.example.test"}, ""},
		{"other port refused", listed, []string{appOrigin + ":8443"}, ""},
		{"upper case refused", listed, []string{"https://APP.example.test"}, ""},
		{"trailing dot refused", listed, []string{appOrigin + "."}, ""},
		{"two origins refused", listed, []string{"https://evil.test", appOrigin}, ""},
		{"list in one header refused", listed, []string{appOrigin + " https://evil.test"}, ""},
		{"8 KiB refused", listed, []string{appOrigin + strings.Repeat("a", 8<<10)}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*jwtauth.Config)
			if tc.cfg != nil {
				change = append(change, tc.cfg)
			}
			a, _ := newAuth(t, change...)
			cfg := jwtauth.Config{}
			if tc.cfg != nil {
				tc.cfg(&cfg)
			}
			header := http.Header{"Origin": tc.origins}
			r := send(t, a.Handler(), request{method: "GET", path: "/me", header: header})
			wantError(t, r, 401, "missing_token")
			checkCORS(t, "answer", r, tc.allow, cfg)
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				preflight := header.Clone()
				preflight.Set("Access-Control-Request-Method", method)
				preflight.Set("Access-Control-Request-Headers", "authorization,content-type")
				r := send(t, a.Handler(), request{method: "OPTIONS", path: "/sessions", header: preflight})
				checkCORS(t, method+" preflight", r, tc.allow, cfg)
				if allowed := r.header.Get("Access-Control-Allow-Methods") == method; allowed != (tc.allow != "") {
					t.Errorf("preflight for %s allowed: %v", method, allowed)
				}
			}
		})
	}
}

func checkCORS(t *testing.T, what string, r answer, allow string, cfg jwtauth.Config) {
	t.Helper()
	if got := r.header.Get("Access-Control-Allow-Origin"); got != allow {
		t.Errorf("%s allows %q, want %q", what, got, allow)
	}
	withCookies := allow != "" && cfg.Cookies.Enabled
	if got := r.header.Get("Access-Control-Allow-Credentials") == "true"; got != withCookies {
		t.Errorf("%s allows credentials: %v", what, got)
	}
	if r.header.Get("Access-Control-Allow-Private-Network") != "" {
		t.Errorf("%s opens the private network", what)
	}
	if len(cfg.CORS.Origins) > 0 && !slices.ContainsFunc(r.header.Values("Vary"), func(v string) bool { return strings.Contains(v, "Origin") }) {
		t.Errorf("%s does not vary by origin: %v", what, r.header.Values("Vary"))
	}
}

func TestLimitHeadersAreExposedToScripts(t *testing.T) {
	a, _ := newAuth(t)
	r := send(t, a.Handler(), request{method: "GET", path: "/me", header: http.Header{"Origin": {appOrigin}}})
	exposed := strings.ToLower(r.header.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"} {
		if !strings.Contains(exposed, strings.ToLower(name)) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
}

// Cookies and CORS share one list: what may call may also send cookies.
func TestListedOriginsPassTheCookieGuard(t *testing.T) {
	a, _ := newAuth(t, cookies, func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{appOrigin} })
	register(t, a, "alice")
	for origin, status := range map[string]int{appOrigin: 200, "https://evil.test": 403} {
		r := send(t, a.Handler(), request{method: "POST", path: "/token", body: object{"username": "alice", "password": testPassword},
			header: http.Header{"Content-Type": {"application/json"}, "Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}}})
		if r.status != status {
			t.Errorf("%s: %d %s", origin, r.status, r.text)
		}
	}
}
