package jwtauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

type object = map[string]any

// The requests of the seed documents, answered with the members they show.
func TestSeedRequestsAreAnsweredAsDocumented(t *testing.T) {
	a, c := newAuth(t)
	h := a.Handler()
	r := post(t, h, "/register", object{"username": "johndoe", "email": "john@example.com", "password": "secure-passphrase", "name": "John Doe"})
	wantMembers(t, r, 200, "user_id:number", "user.ID:number", "user.user_login:string", "user.user_email:string",
		"user.display_name:string", "user.roles:array", "token_response.token:string", "token_response.expiration:string")
	if got := r.at("user.roles").([]any); len(got) != 1 || got[0] != "subscriber" {
		t.Errorf("roles = %v, want subscriber", got)
	}
	r = post(t, h, "/token", object{"username": "johndoe", "password": "secure-passphrase"})
	wantMembers(t, r, 200, "token:string", "token_type:string", "expiration:string", "expires_in:number", "user.ID:number",
		"user.user_login:string", "user.user_email:string", "user.display_name:string", "user.roles:array",
		"refreshable:boolean", "refresh_token:string", "jti:string")
	if got := r.str("expiration"); got != "2026-01-01T13:00:00+00:00" || r.at("expires_in") != 3600.0 {
		t.Errorf("expiration %s in %v s, want one hour from %v", got, r.at("expires_in"), c.Now())
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(r.str("jti")) {
		t.Errorf("jti %q is not a UUID of version 4", r.str("jti"))
	}
	token := r.str("token")
	wantMembers(t, post(t, h, "/login", object{"username": "john@example.com", "password": "secure-passphrase"}),
		200, "token:string", "expiration:string", "user.ID:number", "user.display_name:string", "user.roles:array")
	r = post(t, h, "/token/validate", object{"token": token})
	wantMembers(t, r, 200, "valid:boolean", "data.iss:string", "data.iat:number", "data.exp:number", "data.data.ID:number", "data.data.user_login:string")
	r = post(t, h, "/token/refresh", object{"token": token})
	wantMembers(t, r, 200, "token:string", "expiration:string", "user.ID:number", "user.user_login:string", "jti:string")
	if r.str("token") == token || r.at("refresh_token") != nil {
		t.Error("a refresh by access token must give a new access token alone")
	}
	token = r.str("token")
	r = send(t, h, request{method: "POST", path: "/change-password", token: token,
		body: object{"current_password": "secure-passphrase", "new_password": "another-passphrase"}})
	if r.status != 200 || r.str("message") != "Password changed successfully. Please login again." {
		t.Errorf("change-password answered %d %s", r.status, r.text)
	}
	token = post(t, h, "/token", object{"username": "johndoe", "password": "another-passphrase"}).str("token")
	r = post(t, h, "/token/revoke", object{"token": token})
	if r.status != 200 || r.str("message") != "Token revoked successfully." {
		t.Errorf("revoke answered %d %s", r.status, r.text)
	}
	r = post(t, h, "/token/validate", object{"token": token})
	wantError(t, r, 401, "jwt_auth_invalid_token")
}

func wantMembers(t *testing.T, r answer, status int, members ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("answered %d %s, want %d", r.status, r.text, status)
	}
	for _, m := range members {
		path, kind, _ := strings.Cut(m, ":")
		if got := jsonKind(r.at(path)); got != kind {
			t.Errorf("%s is a %s, want a %s, in %s", path, got, kind, r.text)
		}
	}
}

func jsonKind(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "missing"
}

// wantError checks the envelope that every error has.
func wantError(t *testing.T, r answer, status int, code string) {
	t.Helper()
	if r.status != status || r.str("code") != code || r.at("data.status") != float64(status) || r.str("message") == "" {
		t.Errorf("answered %d %s, want %d %s in the envelope", r.status, r.text, status, code)
	}
	for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if challenged := r.header.Get("WWW-Authenticate") != ""; challenged != (status == 401) {
		t.Errorf("WWW-Authenticate present: %v, with status %d", challenged, status)
	}
}

func TestBadInput(t *testing.T) {
	a, _ := newAuth(t)
	h := a.Handler()
	g := register(t, a, "alice")
	json := http.Header{"Content-Type": {"application/json"}}
	typed := func(types ...string) http.Header { return http.Header{"Content-Type": types} }
	cases := []struct {
		name   string
		q      request
		status int
		code   string
	}{
		{"malformed JSON", request{path: "/token", body: `{"username":`, header: json}, 400, "rest_invalid_json"},
		{"array instead of an object", request{path: "/token", body: `[]`, header: json}, 400, "rest_invalid_json"},
		{"trailing data", request{path: "/token", body: `{} {}`, header: json}, 400, "rest_invalid_json"},
		{"duplicate member", request{path: "/token", body: `{"username":"a","username":"b","password":"c"}`, header: json}, 400, "rest_invalid_json"},
		{"byte order mark", request{path: "/token", body: "\xef\xbb\xbf{}", header: json}, 400, "rest_invalid_json"},
		{"invalid UTF-8", request{path: "/token", body: "{\"username\":\"\xff\"}", header: json}, 400, "rest_invalid_json"},
		{"deep nesting", request{path: "/token", body: `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, header: json}, 400, "rest_invalid_json"},
		{"number as user name", request{path: "/token", body: `{"username":1,"password":"x"}`, header: json}, 400, "rest_invalid_param"},
		{"object as user name", request{path: "/token", body: `{"username":{"$ne":""},"password":"x"}`, header: json}, 400, "rest_invalid_param"},
		{"null password", request{path: "/token", body: `{"username":"alice","password":null}`, header: json}, 400, "rest_invalid_param"},
		{"boolean password", request{path: "/token", body: `{"username":"alice","password":true}`, header: json}, 400, "rest_invalid_param"},
		{"array password", request{path: "/token", body: `{"username":"alice","password":[]}`, header: json}, 400, "rest_invalid_param"},
		{"empty password", request{path: "/token", body: `{"username":"alice","password":""}`, header: json}, 400, "missing_fields"},
		{"no password", request{path: "/token", body: `{"username":"alice"}`, header: json}, 400, "missing_fields"},
		{"no user", request{path: "/token", body: `{"password":"x"}`, header: json}, 400, "missing_fields"},
		{"two users", request{path: "/token", body: `{"username":"alice","email":"bob@example.test","password":"x"}`, header: json}, 400, "rest_invalid_param"},
		{"names in another case are unknown", request{path: "/token", body: `{"Username":"alice","Password":"` + testPassword + `"}`, header: json}, 400, "missing_fields"},
		{"no body", request{path: "/token"}, 400, "missing_fields"},
		{"JSON as text", request{path: "/token", body: `{"username":"a","password":"b"}`, header: typed("text/plain")}, 415, "unsupported_media_type"},
		{"no media type", request{path: "/token", body: `{"username":"a","password":"b"}`, header: typed()}, 415, "unsupported_media_type"},
		{"two media types", request{path: "/token", body: `{}`, header: typed("application/json", "text/plain")}, 415, "unsupported_media_type"},
		{"lookalike media type", request{path: "/token", body: `{}`, header: typed("application/jsonx")}, 415, "unsupported_media_type"},
		{"UTF-16", request{path: "/token", body: `{}`, header: typed("application/json; charset=utf-16")}, 415, "unsupported_media_type"},
		{"form", request{path: "/token", body: `username=alice&password=x`, header: typed("application/x-www-form-urlencoded")}, 415, "unsupported_media_type"},
		{"compressed", request{path: "/token", body: `{}`, header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}}, 415, "unsupported_media_type"},
		{"oversized", request{path: "/token", body: `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, header: json}, 413, "request_too_large"},
		{"credentials in the query", request{path: "/token?username=alice&password=" + strings.ReplaceAll(testPassword, " ", "+")}, 400, "missing_fields"},
		{"wrong method", request{method: "GET", path: "/token"}, 405, "method_not_allowed"},
		{"refresh by GET", request{method: "GET", path: "/token/refresh"}, 405, "method_not_allowed"},
		{"method override", request{method: "POST", path: "/me", header: http.Header{"X-Http-Method-Override": {"DELETE"}}}, 405, "method_not_allowed"},
		{"trace", request{method: "TRACE", path: "/token"}, 405, "method_not_allowed"},
		{"unknown path", request{path: "/nothing"}, 404, "rest_no_route"},
		{"trailing slash", request{path: "/token/"}, 404, "rest_no_route"},
		{"doubled slash", request{path: "//token"}, 404, "rest_no_route"},
		{"dots", request{path: "/x/../token"}, 404, "rest_no_route"},
		{"escaped letter", request{path: "/%74oken", body: object{"username": "x", "password": "y"}}, 404, "rest_no_route"},
		{"escaped slash", request{path: "/token%2fvalidate"}, 404, "rest_no_route"},
		{"upper case", request{path: "/TOKEN"}, 404, "rest_no_route"},
		{"no token to validate", request{path: "/token/validate"}, 401, "missing_token"},
		{"no token to refresh", request{path: "/token/refresh"}, 401, "missing_token"},
		{"no token to revoke", request{path: "/token/revoke"}, 401, "missing_token"},
		{"number as token", request{path: "/token/validate", body: `{"token":1}`, header: json}, 400, "rest_invalid_param"},
		{"array as refresh token", request{path: "/token/refresh", body: `{"refresh_token":["x"]}`, header: json}, 400, "rest_invalid_param"},
		{"header and body differ", request{path: "/token/validate", token: g.AccessToken, body: object{"token": "x"}}, 400, "rest_invalid_param"},
		{"access token as refresh token", request{path: "/token/refresh", body: object{"refresh_token": g.AccessToken}}, 401, "jwt_auth_invalid_refresh_token"},
		{"refresh token as access token", request{path: "/token/validate", body: object{"token": g.RefreshToken}}, 401, "jwt_auth_invalid_token"},
		{"token in the query", request{method: "GET", path: "/me?token=" + g.AccessToken}, 401, "missing_token"},
		{"profile without a token", request{method: "GET", path: "/me"}, 401, "missing_token"},
		{"sessions with a bad token", request{method: "GET", path: "/sessions", token: "x.y.z"}, 401, "jwt_auth_invalid_token"},
		{"change without a token", request{path: "/change-password", body: object{"current_password": "a", "new_password": "b"}}, 401, "missing_token"},
		{"change without fields", request{path: "/change-password", token: g.AccessToken}, 400, "missing_fields"},
		{"change with a wrong password", request{path: "/change-password", token: g.AccessToken, body: object{"current_password": "wrong", "new_password": "a new pass phrase"}}, 401, "invalid_credentials"},
		{"change to a weak password", request{path: "/change-password", token: g.AccessToken, body: object{"current_password": testPassword, "new_password": "12345678"}}, 400, "weak_password"},
		{"registration without fields", request{path: "/register"}, 400, "missing_fields"},
		{"registration with a bad address", request{path: "/register", body: object{"username": "x", "email": "a@b@example.test", "password": testPassword}}, 400, "rest_invalid_param"},
		{"registration under another's address", request{path: "/register", body: object{"username": "alice@example.test", "email": "eve@example.test", "password": testPassword}}, 400, "rest_invalid_param"},
		{"registration with a weak password", request{path: "/register", body: object{"username": "bob", "email": "bob@example.test", "password": "password"}}, 400, "weak_password"},
		{"registration with markup is text, with controls refused", request{path: "/register", body: object{"username": "bob", "email": "bob@example.test", "password": testPassword, "name": "a\r\nBcc: x"}}, 400, "rest_invalid_param"},
		{"taken user name", request{path: "/register", body: object{"username": "ALICE", "email": "new@example.test", "password": testPassword}}, 409, "existing_user_login"},
		{"taken address", request{path: "/register", body: object{"username": "new", "email": "Alice@Example.TEST", "password": testPassword}}, 409, "existing_user_email"},
		{"somebody else's session", request{method: "DELETE", path: "/sessions/" + register(t, a, "bob0").Session.ID, token: g.AccessToken}, 404, "not_found"},
	}
	before := len(must(a.Users(context.Background(), jwtauth.UserQuery{}))(t))
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.q.method == "" {
				tc.q.method = "POST"
			}
			r := send(t, h, tc.q)
			wantError(t, r, tc.status, tc.code)
			if tc.status == 405 && r.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	if after := len(must(a.Users(context.Background(), jwtauth.UserQuery{}))(t)); after != before {
		t.Errorf("bad input stored %d accounts", after-before)
	}
}

func TestAuthorizationHeader(t *testing.T) {
	a, _ := newAuth(t)
	token := register(t, a, "alice").AccessToken
	cases := []struct {
		name   string
		values []string
		status int
	}{
		{"Bearer accepted", []string{"Bearer " + token}, 200},
		{"lower case accepted", []string{"bearer " + token}, 200},
		{"upper case accepted", []string{"BEARER " + token}, 200},
		{"two spaces refused", []string{"Bearer  " + token}, 401},
		{"tab refused", []string{"Bearer\t" + token}, 401},
		{"trailing space refused", []string{"Bearer " + token + " "}, 401},
		{"list refused", []string{"Bearer " + token + ", Bearer x"}, 401},
		{"two headers refused", []string{"Bearer " + token, "Bearer " + token}, 401},
		{"Basic refused", []string{"Basic YTpi"}, 401},
		{"bare token refused", []string{token}, 401},
		{"scheme alone refused", []string{"Bearer"}, 401},
		{"scheme and space refused", []string{"Bearer "}, 401},
		{"nothing refused", nil, 401},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := send(t, a.Handler(), request{method: "GET", path: "/me", header: http.Header{"Authorization": tc.values}})
			if r.status != tc.status {
				t.Errorf("answered %d %s, want %d", r.status, r.text, tc.status)
			}
		})
	}
}

func TestRightsAreNeverTakenFromRegistration(t *testing.T) {
	a, _ := newAuth(t)
	r := post(t, a.Handler(), "/register", object{"username": "eve", "email": "eve@example.test", "password": testPassword,
		"roles": []string{"administrator"}, "role": "administrator", "user_level": 10, "ID": 1, "id": 1, "is_admin": true,
		"user_status": 0, "email_verified": true, "password_hash": "x", "capabilities": object{"all": true}, "Version": 9})
	if r.status != 200 {
		t.Fatalf("answered %d %s", r.status, r.text)
	}
	u := must(a.UserByLogin(context.Background(), "eve"))(t)
	if !slices.Equal(u.Roles, []string{"subscriber"}) || u.EmailVerified || u.CredentialVersion != 1 {
		t.Errorf("registered with %v, verified %v, version %d", u.Roles, u.EmailVerified, u.CredentialVersion)
	}
}

// Nobody learns from an answer whether an account exists.
func TestUnknownUserAndWrongPasswordAreOneAnswer(t *testing.T) {
	a, _ := newAuth(t)
	register(t, a, "alice")
	if err := a.Disable(context.Background(), register(t, a, "gone").User.ID); err != nil {
		t.Fatal(err)
	}
	var first answer
	for i, name := range []string{"alice", "nobody", "gone", "not an identifier\u202e", "alice@example.test", "*)(uid=*", "' OR 1=1--", strings.Repeat("a", 1000)} {
		r := post(t, a.Handler(), "/token", object{"username": name, "password": "wrong password"})
		wantError(t, r, 401, "invalid_credentials")
		r.header.Del("Date")
		if i == 0 {
			first = r
		}
		if r.text != first.text || len(r.header) != len(first.header) {
			t.Errorf("%q answered %s %v, alice %s %v", name, r.text, r.header, first.text, first.header)
		}
	}
	wantError(t, post(t, a.Handler(), "/token", object{"username": "gone", "password": testPassword}), 403, "account_disabled")
}

func TestLimits(t *testing.T) {
	a, c := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits, cfg.Lockout.Disabled = jwtauth.LimitConfig{}, true
	})
	h := a.Handler()
	g := register(t, a, "alice")
	wrong := object{"username": "alice", "password": "wrong"}
	for i := range 5 {
		path := []string{"/token", "/login"}[i%2] // one bucket for both
		r := post(t, h, path, wrong)
		wantError(t, r, 401, "invalid_credentials")
		if got, want := r.header.Get("X-Ratelimit-Remaining"), "43210"[i:i+1]; got != want || r.header.Get("X-Ratelimit-Limit") != "5" {
			t.Errorf("request %d: %s of %s remain, want %s of 5", i, got, r.header.Get("X-Ratelimit-Limit"), want)
		}
	}
	r := post(t, h, "/token", object{"username": "alice", "password": testPassword})
	wantError(t, r, 429, "jwt_auth_rate_limited")
	if r.str("message") != "Rate limit exceeded" || r.header.Get("Retry-After") != "12" || r.header.Get("X-Ratelimit-Remaining") != "0" {
		t.Errorf("429 with %q, headers %v", r.str("message"), r.header)
	}
	if r := send(t, h, request{method: "POST", path: "/token", body: wrong, from: "198.51.100.9:1"}); r.status != 401 {
		t.Errorf("another address answered %d", r.status)
	}
	c.Add(12 * time.Second)
	if r := post(t, h, "/token", object{"username": "alice", "password": testPassword}); r.status != 200 {
		t.Errorf("after Retry-After answered %d", r.status)
	}
	for i := range 61 {
		r := send(t, h, request{method: "POST", path: "/token/validate", token: g.AccessToken})
		if want := map[bool]int{true: 200, false: 429}[i < 60]; r.status != want {
			t.Fatalf("validation %d answered %d, want %d", i+1, r.status, want)
		}
	}
	refresh := g.RefreshToken
	for i := range 11 {
		r := post(t, h, "/token/refresh", object{"refresh_token": refresh})
		if want := map[bool]int{true: 200, false: 429}[i < 10]; r.status != want {
			t.Fatalf("refresh %d answered %d, want %d: a rotated token must not get a new bucket", i+1, r.status, want)
		}
		if r.status == 200 {
			refresh = r.str("refresh_token")
		}
	}
}

func TestBadTokensCountOnTheAddress(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
	for i := range 61 {
		r := post(t, a.Handler(), "/token/validate", object{"token": "garbage" + strings.Repeat("x", i)})
		if want := map[bool]int{true: 401, false: 429}[i < 60]; r.status != want {
			t.Fatalf("garbage %d answered %d, want %d", i+1, r.status, want)
		}
	}
}

func TestLimitHookChangesTheRule(t *testing.T) {
	var names []string
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Hooks.Limit = func(_ context.Context, name string, _ jwtauth.Rule) jwtauth.Rule {
			names = append(names, name)
			return jwtauth.Rule{Limit: 1, Per: time.Minute}
		}
	})
	if r := post(t, a.Handler(), "/login", object{"username": "a", "password": "b"}); r.status != 401 {
		t.Fatalf("answered %d", r.status)
	}
	if r := post(t, a.Handler(), "/token", object{"username": "a", "password": "b"}); r.status != 429 || !slices.Equal(names, []string{"login", "login"}) {
		t.Errorf("answered %d for %v, want 429 in one bucket", r.status, names)
	}
}

func TestMiddleware(t *testing.T) {
	a, _ := newAuth(t)
	other, _ := newAuth(t)
	user := register(t, a, "alice")
	admin := must(a.CreateUser(context.Background(), jwtauth.Registration{Username: "root1", Email: "root1@example.test",
		Password: testPassword, Roles: []string{"administrator", "editor"}}))(t)
	adminToken := must(a.Issue(context.Background(), admin.ID))(t).AccessToken
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := jwtauth.FromContext(r.Context()); ok {
			w.Header().Set("X-User", id.UserID)
		}
	})
	cases := []struct {
		name, token string
		h           http.Handler
		status      int
		user        string
	}{
		{"public page, anonymous", "", a.Authenticate(page), 200, ""},
		{"public page, bad token is anonymous", "x.y.z", a.Authenticate(page), 200, ""},
		{"public page, known", user.AccessToken, a.Authenticate(page), 200, user.User.ID},
		{"protected, anonymous", "", a.Require(page), 401, ""},
		{"protected, bad token", "x.y.z", a.Require(page), 401, ""},
		{"protected, known", user.AccessToken, a.Require(page), 200, user.User.ID},
		{"role missing", user.AccessToken, a.RequireRole("administrator")(page), 403, ""},
		{"role, anonymous", "", a.RequireRole("administrator")(page), 401, ""},
		{"one role of two", adminToken, a.RequireRole("owner", "editor")(page), 200, admin.ID},
		{"stacked", adminToken, a.Authenticate(a.Require(a.RequireRole("administrator")(page))), 200, admin.ID},
		{"identity of another Auth is not believed", user.AccessToken, a.Require(other.RequireRole()(page)), 200, user.User.ID},
		{"rate limited host route", user.AccessToken, a.RateLimit("x", jwtauth.Rule{Limit: 1, Per: time.Minute})(page), 200, user.User.ID},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := send(t, tc.h, request{method: "GET", path: "/", token: tc.token})
			if r.status != tc.status || r.header.Get("X-User") != tc.user {
				t.Errorf("answered %d as %q, want %d as %q", r.status, r.header.Get("X-User"), tc.status, tc.user)
			}
		})
	}
}

func TestTwoAuthsShareNothing(t *testing.T) {
	a, _ := newAuth(t)
	b, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Issuer = "https://other.example.test" })
	key := must(jwtauth.GenerateKey("HS256"))(t)
	c, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Keys = must(jwtauth.NewKeySet(key))(t) })
	g := register(t, a, "alice")
	for name, other := range map[string]*jwtauth.Auth{"another issuer": b, "another key": c} {
		if _, err := other.Verify(context.Background(), g.AccessToken); !errors.Is(err, jwtauth.ErrInvalidToken) {
			t.Errorf("%s: token accepted: %v", name, err)
		}
		if _, err := other.Refresh(context.Background(), g.RefreshToken); !errors.Is(err, jwtauth.ErrInvalidRefreshToken) {
			t.Errorf("%s: refresh token accepted: %v", name, err)
		}
		// An identity that one Auth left in the context is nothing to another.
		h := a.Authenticate(other.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if id, ok := jwtauth.FromContext(r.Context()); ok && id != nil {
				t.Errorf("%s: identity of the first Auth believed", name)
			}
		})))
		send(t, h, request{method: "GET", path: "/", token: g.AccessToken})
	}
}

func TestPanicIsContained(t *testing.T) {
	boom := false
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.Claims = func(context.Context, jwtauth.User, jwtauth.Session) (map[string]any, error) {
			if boom {
				panic("claims")
			}
			return nil, nil
		}
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Hooks.Limit = func(context.Context, string, jwtauth.Rule) jwtauth.Rule {
			if boom {
				panic("limit")
			}
			return jwtauth.Rule{Limit: 100, Per: time.Minute}
		}
	})
	register(t, a, "alice")
	boom = true
	wantError(t, post(t, a.Handler(), "/token", object{"username": "alice", "password": testPassword}), 500, "internal_error")
	if _, err := a.Login(context.Background(), jwtauth.Credentials{Login: "alice", Password: testPassword}); !errors.Is(err, jwtauth.ErrUnavailable) {
		t.Errorf("Login with a panicking claims hook = %v, want ErrUnavailable", err)
	}
}

func TestSessionsOverHTTP(t *testing.T) {
	a, c := newAuth(t)
	h := a.Handler()
	first := register(t, a, "alice")
	c.Add(time.Minute)
	r := send(t, h, request{method: "POST", path: "/token", body: object{"username": "alice", "password": testPassword}, from: "198.51.100.7:4711",
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}})
	token := r.str("token")
	c.Add(time.Minute)
	third := login(t, a, "alice")
	r = send(t, h, request{method: "GET", path: "/sessions", token: token})
	list, _ := r.at("sessions").([]any)
	if r.status != 200 || len(list) != 3 {
		t.Fatalf("answered %d %s, want three sessions", r.status, r.text)
	}
	mine := list[1].(map[string]any)
	if mine["current"] != true || mine["device"] != "Firefox on Linux" || mine["ip"] != "198.51.100.7" || mine["created_at"] != "2026-01-01T12:01:00+00:00" {
		t.Errorf("my session reads %v", mine)
	}
	if r := send(t, h, request{method: "DELETE", path: "/sessions/" + third.Session.ID, token: token}); r.status != 200 {
		t.Errorf("ending one answered %d %s", r.status, r.text)
	}
	if _, err := a.Verify(context.Background(), third.AccessToken); !errors.Is(err, jwtauth.ErrInvalidToken) {
		t.Errorf("token of an ended session: %v", err)
	}
	if r := send(t, h, request{method: "DELETE", path: "/sessions", token: token}); r.status != 200 || r.at("ended") != 1.0 {
		t.Errorf("ending the others answered %d %s", r.status, r.text)
	}
	if _, err := a.Verify(context.Background(), first.AccessToken); !errors.Is(err, jwtauth.ErrInvalidToken) {
		t.Errorf("token of another session: %v", err)
	}
	if _, err := a.Verify(context.Background(), token); err != nil {
		t.Errorf("the session that stays: %v", err)
	}
}

func TestRoutesAreTheHandler(t *testing.T) {
	a, _ := newAuth(t)
	mux := http.NewServeMux()
	names := map[string]bool{}
	for _, route := range a.Routes() {
		if names[route.Name] {
			t.Errorf("name %q twice", route.Name)
		}
		names[route.Name] = true
		mux.Handle(route.Method+" /auth"+route.Path, route.Handler)
	}
	r := send(t, mux, request{method: "POST", path: "/auth/register", body: object{"username": "alice", "email": "alice@example.test", "password": testPassword}})
	if r.status != 200 {
		t.Errorf("answered %d %s", r.status, r.text)
	}
	if set := send(t, mux, request{method: "GET", path: "/auth/.well-known/jwks.json"}); set.status != 200 || len(set.at("keys").([]any)) != 1 ||
		!strings.Contains(set.header.Get("Cache-Control"), "public") {
		t.Errorf("JWKS answered %d %s %v", set.status, set.text, set.header)
	}
}

// A body that never ends costs its size limit and no more.
func TestEndlessBodyRefused(t *testing.T) {
	a, _ := newAuth(t)
	server := httptest.NewServer(recorder.Record(t.Name(), a.Handler()))
	defer server.Close()
	body := &endless{}
	resp, err := http.Post(server.URL+"/token", "application/json", body)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("answered %d", resp.StatusCode)
		}
	}
	body.mu.Lock()
	defer body.mu.Unlock()
	if body.read > 16<<20 {
		t.Errorf("read %d bytes", body.read)
	}
}

type endless struct {
	mu   sync.Mutex
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}
