package jwtauth_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

const appOrigin = "https://app.example.test"

func cookies(cfg *jwtauth.Config) { cfg.Cookies.Enabled = true }

func targets(cfg *jwtauth.Config) {
	cookies(cfg)
	cfg.AutoLogin = jwtauth.AutoLoginConfig{Origins: []string{appOrigin}, Target: appOrigin + "/home", TargetFromRequest: true}
}

// Every value of Location, read as browsers read it, lies on an allowed origin.
// What the vectors leave open is decided: relative targets go to the default.
func TestRedirectVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID, Input, Expect string
			Origin            string `json:"whatwg_origin"`
		}
	}
	readVectors(t, "web/open_redirect_vectors.json", &file)
	if len(file.Vectors) < 50 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	a, _ := newAuth(t, targets)
	u := register(t, a, "alice").User
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			_, location, err := a.AutoLogin(bg, must(a.AutoLoginToken(bg, u.ID))(t), v.Input)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case v.Expect == "allow" && (location != v.Input || v.Origin != appOrigin):
				t.Errorf("went to %q", location)
			case v.Expect != "allow" && location != appOrigin+"/home":
				t.Errorf("went to %q instead of the default", location)
			}
		})
	}
}

func TestTargetVariablesAreEscaped(t *testing.T) {
	a, _ := newAuth(t, cookies, func(cfg *jwtauth.Config) {
		cfg.AutoLogin = jwtauth.AutoLoginConfig{Origins: []string{appOrigin},
			Target: appOrigin + "/u/{{user_id}}?e={{user_email}}&n={{user_first_name}}&l={{user_last_name}}&s={{site_url}}"}
	})
	g := must(a.Register(bg, jwtauth.Registration{Username: "alice", Email: "a+b&c@example.test", Password: testPassword,
		Profile: map[string]string{"first_name": "../x?y=1&z#{{user_id}}"}}))(t)
	_, location, err := a.AutoLogin(bg, must(a.AutoLoginToken(bg, g.User.ID))(t), "")
	want := appOrigin + "/u/1?e=a%2Bb%26c%40example.test&n=..%2Fx%3Fy%3D1%26z%23%7B%7Buser_id%7D%7D&l={{user_last_name}}&s=https%3A%2F%2Fauth.example.test"
	if err != nil || location != want {
		t.Errorf("went to %s, %v\nwant    %s", location, err, want)
	}
}

func TestAutoLoginTokens(t *testing.T) {
	a, c := newAuth(t, targets)
	g := register(t, a, "alice")
	token := func() string { return must(a.AutoLoginToken(bg, g.User.ID))(t) }
	t.Run("expired refused", func(t *testing.T) {
		late := token()
		c.Add(time.Minute)
		_, _, err := a.AutoLogin(bg, late, "")
		wantErr(t, "after a minute", err, jwtauth.ErrInvalidToken)
	})
	t.Run("not an access token, and the other way round", func(t *testing.T) {
		_, err := a.Verify(bg, token())
		wantErr(t, "as access token", err, jwtauth.ErrInvalidToken)
		_, _, err = a.AutoLogin(bg, login(t, a, "alice").AccessToken, "")
		wantErr(t, "access token", err, jwtauth.ErrInvalidToken)
		_, err = a.Refresh(bg, token())
		wantErr(t, "as refresh token", err, jwtauth.ErrInvalidToken)
	})
	t.Run("checked without being used up", func(t *testing.T) {
		x := token()
		for range 3 {
			if err := a.CheckAutoLogin(bg, x); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := a.AutoLogin(bg, x, ""); err != nil {
			t.Error(err)
		}
	})
	t.Run("dead after a password change", func(t *testing.T) {
		x := token()
		if err := a.RevokeUser(bg, g.User.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err := a.AutoLogin(bg, x, "")
		wantErr(t, "token from before", err, jwtauth.ErrInvalidToken)
	})
	t.Run("access token where the operator allows it", func(t *testing.T) {
		b, _ := newAuth(t, targets, func(cfg *jwtauth.Config) { cfg.AutoLogin.AcceptAccessTokens = true })
		x := register(t, b, "bob").AccessToken
		if _, _, err := b.AutoLogin(bg, x, ""); err != nil {
			t.Error(err)
		}
	})
}

// browser is a client with a cookie jar that shows redirects instead of
// following them.
func browser(t *testing.T, server *httptest.Server) *http.Client {
	t.Helper()
	c := server.Client()
	c.Jar = must(cookiejar.New(nil))(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

func TestAutoLoginInABrowser(t *testing.T) {
	a, _ := newAuth(t, targets)
	u := register(t, a, "alice").User
	mux := http.NewServeMux()
	mux.Handle("/auth/", http.StripPrefix("/auth", a.Handler()))
	mux.Handle("/private", a.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	server := httptest.NewTLSServer(recorder.Record(t.Name(), mux))
	defer server.Close()
	client := browser(t, server)
	token := must(a.AutoLoginToken(bg, u.ID))(t)
	link := server.URL + "/auth/autologin?" + url.Values{"JWT": {token}, "redirectUrl": {appOrigin + "/deep?x=1"}}.Encode()

	resp := must(client.Get(link))(t)
	page := readAll(t, resp)
	if resp.StatusCode != 200 || !strings.Contains(page, `method="post"`) || len(resp.Cookies()) != 0 {
		t.Fatalf("the link answered %d %s with %v: it must ask first", resp.StatusCode, page, resp.Cookies())
	}
	for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s = %q", name, got)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "form-action 'self' "+appOrigin) {
		t.Errorf("policy %q", csp)
	}
	if resp := must(client.Head(link))(t); resp.StatusCode != 200 {
		t.Errorf("HEAD answered %d", resp.StatusCode)
	}
	form := url.Values{}
	for _, m := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(m[1], strings.ReplaceAll(strings.ReplaceAll(m[2], "&#43;", "+"), "&amp;", "&"))
	}
	cross := postForm(t, client, server.URL+"/auth/autologin?", form, "cross-site")
	if cross.StatusCode != 403 || len(cross.Cookies()) != 0 {
		t.Errorf("a post from another site answered %d with %v", cross.StatusCode, cross.Cookies())
	}
	resp = postForm(t, client, server.URL+"/auth/autologin?", form, "same-origin")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != appOrigin+"/deep?x=1" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("answered %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, c := range resp.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.MaxAge <= 0 {
			t.Errorf("cookie %s", c.Name)
		}
	}
	if resp := must(client.Get(server.URL + "/private"))(t); resp.StatusCode != 200 {
		t.Errorf("with the cookie: %d", resp.StatusCode)
	}
	if resp := postForm(t, browser(t, server), server.URL+"/auth/autologin?", form, "same-origin"); resp.StatusCode != 401 {
		t.Errorf("the link a second time: %d", resp.StatusCode)
	}
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func postForm(t *testing.T, c *http.Client, to string, form url.Values, site string) *http.Response {
	t.Helper()
	r := must(http.NewRequest("POST", to, strings.NewReader(form.Encode())))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	resp := must(c.Do(r))(t)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestAutoLoginWithoutConfirmation(t *testing.T) {
	a, _ := newAuth(t, cookies, func(cfg *jwtauth.Config) { cfg.AutoLogin.DangerouslySkipConfirmation = true })
	u := register(t, a, "alice").User
	token := must(a.AutoLoginToken(bg, u.ID))(t)
	if r := send(t, a.Handler(), request{method: "HEAD", path: "/autologin?JWT=" + token}); r.status != 200 || r.header.Get("Set-Cookie") != "" {
		t.Errorf("HEAD answered %d and used the link up", r.status)
	}
	r := send(t, a.Handler(), request{method: "GET", path: "/autologin?jwt=" + token})
	if r.status != 200 || r.str("message") != "User was logged in." || r.header.Get("Set-Cookie") == "" {
		t.Errorf("answered %d %s", r.status, r.text)
	}
	wantError(t, send(t, a.Handler(), request{method: "GET", path: "/autologin"}), 401, "missing_token")
	wantError(t, send(t, a.Handler(), request{method: "GET", path: "/autologin?JWT=x&JWT=y"}), 400, "rest_invalid_param")
}

func TestRefusedTargetIsNotReflected(t *testing.T) {
	a, _ := newAuth(t, targets)
	u := register(t, a, "alice").User
	token := must(a.AutoLoginToken(bg, u.ID))(t)
	r := send(t, a.Handler(), request{method: "GET", path: "/autologin?JWT=" + token + "&redirectUrl=" + url.QueryEscape(`"><script>alert(1)</script>`)})
	if strings.Contains(r.text, "<script>alert") {
		t.Error("markup of the request is in the page")
	}
}

func TestCookieMode(t *testing.T) {
	a, _ := newAuth(t, cookies)
	register(t, a, "alice")
	h := a.Handler()
	credentials := object{"username": "alice", "password": testPassword}
	site := func(s string) http.Header {
		return http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {s}}
	}
	wantError(t, send(t, h, request{method: "POST", path: "/token", body: credentials, header: site("cross-site")}), 403, "cross_origin_refused")
	wantError(t, send(t, h, request{method: "POST", path: "/token", body: credentials, header: site("same-site")}), 403, "cross_origin_refused")
	r := send(t, h, request{method: "POST", path: "/token", body: credentials, header: site("same-origin")})
	jar := cookieHeader(r)
	if r.status != 200 || len(jar) != 3 {
		t.Fatalf("answered %d with cookies %v", r.status, jar)
	}
	with := func(s string, more ...string) http.Header {
		h := site(s)
		h["Cookie"] = []string{strings.Join(append(jar, more...), "; ")}
		return h
	}
	if r := send(t, h, request{method: "GET", path: "/me", header: with("same-origin")}); r.status != 200 {
		t.Errorf("profile by cookie: %d %s", r.status, r.text)
	}
	wantError(t, send(t, h, request{method: "DELETE", path: "/sessions", header: with("cross-site")}), 403, "cross_origin_refused")
	wantError(t, send(t, h, request{method: "POST", path: "/token/revoke", header: with("cross-site")}), 403, "cross_origin_refused")
	wantError(t, send(t, h, request{method: "GET", path: "/me", header: with("same-origin", jar[0])}), 401, "missing_token")
	r = send(t, h, request{method: "POST", path: "/token/refresh", header: with("same-origin")})
	if r.status != 200 || len(cookieHeader(r)) != 2 {
		t.Fatalf("refresh by cookie: %d %s", r.status, r.text)
	}
	if strings.Contains(r.text, "refresh_token") || strings.Contains(r.text, "jr1.") {
		t.Errorf("refresh by cookie hands the refresh token to scripts: %s", r.text)
	}
	token := r.str("token")
	bearer := http.Header{"Authorization": {"Bearer " + token}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://other.example.test"}}
	if r := send(t, h, request{method: "POST", path: "/token/validate", header: bearer}); r.status != 200 {
		t.Errorf("a bearer request from elsewhere: %d %s", r.status, r.text)
	}
	jar = cookieHeader(r)
	r = send(t, h, request{method: "POST", path: "/token/revoke", header: with("same-origin")})
	if r.status != 200 {
		t.Fatalf("logout: %d %s", r.status, r.text)
	}
	for _, c := range r.header.Values("Set-Cookie") {
		if !strings.Contains(c, "Max-Age=0") || !strings.Contains(c, "Path=/; ") || !strings.Contains(c, "Secure") || !strings.Contains(c, "HttpOnly") {
			t.Errorf("cleared with %s", c)
		}
	}
	wantError(t, send(t, h, request{method: "GET", path: "/me", header: with("same-origin")}), 401, "jwt_auth_invalid_token")
	b, _ := newAuth(t)
	g := register(t, b, "bob")
	wantError(t, send(t, b.Handler(), request{method: "GET", path: "/me", header: http.Header{"Cookie": {"__Host-jwtauth=" + g.AccessToken}}}), 401, "missing_token")
	if r := send(t, b.Handler(), request{method: "GET", path: "/autologin?JWT=x"}); r.status != 404 {
		t.Errorf("auto-login without cookies answered %d", r.status)
	}
}

func cookieHeader(r answer) []string {
	var out []string
	for _, c := range r.header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(c, ";")
		out = append(out, pair)
	}
	return out
}

func TestAutoLoginConfigRefused(t *testing.T) {
	for name, change := range map[string]func(*jwtauth.Config){
		"origin with a path":     func(cfg *jwtauth.Config) { cfg.AutoLogin.Origins = []string{appOrigin + "/x"} },
		"origin with user info":  func(cfg *jwtauth.Config) { cfg.AutoLogin.Origins = []string{"https://a@app.example.test"} },
		"origin with a wildcard": func(cfg *jwtauth.Config) { cfg.AutoLogin.Origins = []string{"https://*.example.test"} },
		"http origin":            func(cfg *jwtauth.Config) { cfg.AutoLogin.Origins = []string{"http://app.example.test"} },
		"target elsewhere":       func(cfg *jwtauth.Config) { cfg.AutoLogin = jwtauth.AutoLoginConfig{Target: appOrigin} },
		"variable in the host": func(cfg *jwtauth.Config) {
			cfg.AutoLogin = jwtauth.AutoLoginConfig{Origins: []string{appOrigin}, Target: "https://{{user_login}}.example.test"}
		},
		"origin without a host":     func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{"https://"} },
		"any origin in a list":      func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{"*"} },
		"null origin":               func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{"null"} },
		"origins where CORS is off": func(cfg *jwtauth.Config) { cfg.CORS = jwtauth.CORSConfig{Off: true, Origins: []string{appOrigin}} },
		"recovery page elsewhere":   func(cfg *jwtauth.Config) { cfg.Recovery.URL = "//app.example.test" },
		"recovery page with user":   func(cfg *jwtauth.Config) { cfg.Recovery.URL = "https://u:p@app.example.test/reset" },
	} {
		t.Run(name+" refused", func(t *testing.T) {
			cfg := testConfig(t)
			change(&cfg)
			if _, err := jwtauth.New(cfg); err == nil {
				t.Error("New accepted it")
			}
		})
	}
}

func TestProfileOfARegistration(t *testing.T) {
	a, _ := newAuth(t)
	r := post(t, a.Handler(), "/register", object{"username": "alice", "email": "alice@example.test", "password": testPassword,
		"first_name": "Alice <b>", "last_name": "{{.}}", "description": "two\nlines", "rich_editing": true, "comment_shortcuts": "false",
		"user_url": "https://example.test", "user_activation_key": "x", "spam": true, "unknown": "x"})
	if r.status != 200 || r.str("user.display_name") != "Alice <b> {{.}}" {
		t.Fatalf("answered %d %s", r.status, r.text)
	}
	m := userOf(t, a, "alice").Meta
	for name, want := range map[string]string{"first_name": "Alice <b>", "description": "two\nlines", "rich_editing": "true", "comment_shortcuts": "false", "nickname": "alice"} {
		if m[name] != want {
			t.Errorf("%s = %q, want %q", name, m[name], want)
		}
	}
	if len(m) != 7 {
		t.Errorf("kept %v", m)
	}
	for name, value := range map[string]any{"user_url": "javascript:alert(1)", "first_name": "a\r\nb", "locale": strings.Repeat("x", 1000),
		"description": strings.Repeat("x", 4000), "rich_editing": "perhaps", "nickname": 7, "last_name": "\x00"} {
		r := post(t, a.Handler(), "/register", object{"username": "bob", "email": "bob@example.test", "password": testPassword, name: value})
		wantError(t, r, 400, "rest_invalid_param")
	}
}

func TestSetCookies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*jwtauth.Config)
		site   string
		status int
		set    int
	}{
		{"own page gets cookies", cookies, "same-origin", 200, 3},
		{"another site gets none", cookies, "cross-site", 403, 0},
		{"cookies off", func(*jwtauth.Config) {}, "cross-site", 200, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t, tc.change)
			g := register(t, a, "alice")
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(jwtauth.Status(a.SetCookies(w, r, g))) })
			r := send(t, h, request{method: "POST", path: "/", header: http.Header{"Sec-Fetch-Site": {tc.site}}})
			if n := len(r.header.Values("Set-Cookie")); r.status != tc.status || n != tc.set {
				t.Errorf("answered %d with %d cookies, want %d with %d", r.status, n, tc.status, tc.set)
			}
		})
	}
}
