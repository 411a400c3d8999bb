package jwtauth_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	wpjwt "github.com/go-jwtauth/jwtauth/compat/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/attack"
)

// answer is the JSON of an answer.
func answer(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("not a JSON object: %v\n%s", err, w.Body)
	}
	return body
}

const loginForm = "username=alice&password=correct+horse+battery+staple"

// Clients read the user's id from the payload, where it is a string.
func TestPayload(t *testing.T) {
	for name, mode := range map[string]wpjwt.Mode{"free": wpjwt.Free, "pro": wpjwt.Pro} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, wpjwt.Config{Mode: mode, TTL: week})
			u := k.register(t, "alice")
			token, _ := answer(t, k.send("POST", "/jwt-auth/v1/token", "", loginForm))["token"].(string)
			id := must(k.auth.Verify(bg, token))(t)
			var data struct{ User struct{ ID string } }
			if ok, err := id.Claims.Decode("data", &data); !ok || err != nil || data.User.ID != u.ID {
				t.Errorf("data.user.id is %q (%v)", data.User.ID, err)
			}
			if id.Claims.Issuer != testIssuer || !id.Claims.IssuedAt.Equal(epoch) || !id.Claims.ExpiresAt.Equal(epoch.Add(week)) {
				t.Errorf("claims %s", id.Claims.Raw())
			}
		})
	}
}

// A refresh keeps the life and the claims, and after the grace the older token
// is dead.
func TestRefreshRotates(t *testing.T) {
	k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro, TTL: 2 * time.Hour})
	k.register(t, "alice")
	first := answer(t, k.send("POST", "/jwt-auth/v1/token", "", loginForm))
	refresh := func(token any) map[string]any {
		t.Helper()
		return answer(t, k.send("POST", "/jwt-auth/v1/token/refresh", "", "refresh_token="+url.QueryEscape(token.(string))))
	}
	second := refresh(first["refresh_token"])
	if second["expires_in"] != 7200.0 || second["token"] != second["access_token"] || second["token"] == first["token"] || second["refresh_token"] == first["refresh_token"] {
		t.Fatalf("refresh answered %v", second)
	}
	id := must(k.auth.Verify(bg, second["token"].(string)))(t)
	var data map[string]any
	if ok, err := id.Claims.Decode("data", &data); !ok || err != nil {
		t.Errorf("after a refresh the payload is %s", id.Claims.Raw())
	}
	validate := func(token any) int {
		return k.send("POST", "/jwt-auth/v1/token/validate", token.(string), "").Code
	}
	if again := refresh(first["refresh_token"]); again["refresh_token"] != second["refresh_token"] {
		t.Errorf("a lost answer did not converge: %v", again)
	}
	k.clock.Add(31 * time.Second)
	if old, young := validate(first["token"]), validate(second["token"]); old != 403 || young != 200 {
		t.Errorf("after the grace the old token is answered with %d, the new one with %d", old, young)
	}
	if code := refresh(first["refresh_token"])["code"]; code != "jwt_auth_invalid_refresh_token" {
		t.Errorf("reuse: %v", code)
	}
	if got := validate(second["token"]); got != 403 {
		t.Errorf("after reuse the session goes on: %d", got)
	}
}

func TestRevokeEndsTheSession(t *testing.T) {
	k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro})
	k.register(t, "alice")
	g, other := k.login(t, "alice"), k.login(t, "alice")
	if w := k.send("POST", "/jwt-auth/v1/token/revoke", g.AccessToken, ""); w.Code != 200 {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	if w := k.send("POST", "/jwt-auth/v1/token/refresh", "", "refresh_token="+g.RefreshToken); w.Code != 403 {
		t.Errorf("refresh after revoke: %d", w.Code)
	}
	if w := k.send("POST", "/jwt-auth/v1/token/validate", other.AccessToken, ""); w.Code != 200 {
		t.Errorf("another login: %d", w.Code)
	}
}

func TestAdministratorEndsASession(t *testing.T) {
	for name, method := range map[string]string{"revoked": "PUT", "deleted": "DELETE"} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro})
			k.register(t, "alice")
			k.register(t, "root", "administrator")
			root, alice := k.login(t, "root").AccessToken, k.login(t, "alice")
			path := "/jwt-auth/v1/admin/tokens/" + alice.Session.ID
			if w := k.send(method, path, root, ""); w.Code != 200 {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			if w := k.send("POST", "/jwt-auth/v1/token/validate", alice.AccessToken, ""); w.Code != 403 {
				t.Errorf("the access token lives: %d", w.Code)
			}
			if _, err := k.auth.Refresh(bg, alice.RefreshToken); !errors.Is(err, jwtauth.ErrInvalidRefreshToken) {
				t.Errorf("the refresh token lives: %v", err)
			}
			if w := k.send("GET", path, root, ""); w.Code != 404 {
				t.Errorf("it is still listed: %d", w.Code)
			}
		})
	}
}

// Another role than "administrator" may be the one.
func TestAdminRole(t *testing.T) {
	k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro, AdminRole: "support"})
	k.register(t, "root", "administrator")
	k.register(t, "sue", "support")
	for name, want := range map[string]int{"root": 403, "sue": 200} {
		if w := k.send("GET", "/jwt-auth/v1/admin/tokens", k.login(t, name).AccessToken, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", name, w.Code, want)
		}
	}
}

// Every token that the core refuses is refused on every route that takes one.
func TestAttackVectorsRefused(t *testing.T) {
	vectors := attack.Load(t, "../../testdata/jwt")
	keys := vectors.Keys
	secret := must(hex.DecodeString(keys.HS256))(t)
	kits := map[string][]*kit{}
	for alg, key := range map[string]jwtauth.Key{
		"HS256": must(jwtauth.HS256("hs-1", secret))(t),
		"RS256": must(jwtauth.RS256("rs-1", []byte(keys.RSA)))(t),
		"ES256": must(jwtauth.ES256("es-1", []byte(keys.P256)))(t),
	} {
		for _, mode := range []wpjwt.Mode{wpjwt.Free, wpjwt.Pro} {
			k := newKit(t, wpjwt.Config{Mode: mode}, func(cfg *jwtauth.Config) {
				cfg.Issuer, cfg.Audience = vectors.Profile.Iss, []string{vectors.Profile.Aud}
				cfg.Keys = must(jwtauth.NewKeySet(key))(t)
				cfg.Tokens = jwtauth.TokenConfig{TTL: time.Duration(vectors.Profile.MaxLifetimeSeconds) * time.Second, Leeway: -1}
			})
			k.clock.Add(time.Unix(vectors.Profile.Now, 0).Sub(epoch))
			kits[alg] = append(kits[alg], k)
		}
	}
	n := 0
	for _, v := range vectors.Vectors {
		if v.Expect != "reject" {
			continue
		}
		n++
		t.Run(v.ID, func(t *testing.T) {
			token := v.Text(t, secret)
			for i, k := range kits[v.Verifier] {
				refusedEverywhere(t, k, wpjwt.Mode(i), token)
			}
		})
	}
	if n < 200 {
		t.Errorf("only %d rows", n)
	}
}

func refusedEverywhere(t *testing.T, k *kit, mode wpjwt.Mode, token string) {
	t.Helper()
	routes := []string{"POST /token/validate"}
	if mode == wpjwt.Pro {
		routes = append(routes, "POST /token/refresh", "POST /token/revoke", "GET /admin/tokens", "GET /admin/tokens/x",
			"PUT /admin/tokens/x", "DELETE /admin/tokens/x")
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		if w := k.send(method, "/jwt-auth/v1"+path, token, ""); w.Code != 401 && w.Code != 403 && !(token == "" && w.Code == 400) {
			t.Errorf("%s answered %d %s", route, w.Code, w.Body)
		}
	}
	if mode == wpjwt.Pro && len(token) < 60<<10 {
		if w := k.send("POST", "/jwt-auth/v1/token/refresh", "", "refresh_token="+url.QueryEscape(token)); w.Code != 403 {
			t.Errorf("as a refresh token it is answered with %d %s", w.Code, w.Body)
		}
	}
	if w := k.send("GET", "/host/v1/hello", token, ""); w.Code == 200 && answer(t, w)["hello"] != "nobody" {
		t.Errorf("the middleware identified the caller")
	}
}

// broken is a store in which one part does not answer.
type broken struct {
	jwtauth.Store
	part string
}

var errDown = errors.New("connection refused to db.internal")

func (b broken) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if b.part == "revocations" {
		return false, errDown
	}
	return b.Store.Revoked(ctx, ref)
}

func (b broken) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	if b.part == "audit" {
		return errDown
	}
	return b.Store.Append(ctx, r)
}

// A store that does not answer lets nobody in, and tells nothing about itself.
func TestFaultsFailClosed(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	use := func(part string) func(*jwtauth.Config) {
		return func(cfg *jwtauth.Config) { cfg.Store = broken{store, part} }
	}
	sound := newKit(t, wpjwt.Config{Mode: wpjwt.Pro}, use(""))
	sound.register(t, "root", "administrator")
	token := sound.login(t, "root").AccessToken
	for _, tc := range []struct{ name, part, method, path, token, form string }{
		{"login without a record", "audit", "POST", "/jwt-auth/v1/token", "", strings.Replace(loginForm, "alice", "root", 1)},
		{"validate without revocations", "revocations", "POST", "/jwt-auth/v1/token/validate", token, ""},
		{"revoke without revocations", "revocations", "POST", "/jwt-auth/v1/token/revoke", token, ""},
		{"host route without revocations", "revocations", "GET", "/host/v1/hello", token, ""},
		{"list that the store can't make", "", "GET", "/jwt-auth/v1/admin/tokens", token, ""},
	} {
		for name, mode := range map[string]wpjwt.Mode{"free": wpjwt.Free, "pro": wpjwt.Pro} {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				if mode == wpjwt.Free && (strings.Contains(tc.path, "admin") || strings.Contains(tc.path, "revoke")) {
					return // no such route
				}
				w := newKit(t, wpjwt.Config{Mode: mode}, use(tc.part)).send(tc.method, tc.path, tc.token, tc.form)
				if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "db.internal") {
					t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
				}
			})
		}
	}
}

// Every outcome of a route has one record: who, what, and why not.
func TestEveryOutcomeIsRecorded(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, token, form string // token: of alice, of root, or none
		event, user, actor, reason      string
	}{
		{"login", "POST", "/token", "", loginForm, jwtauth.EventLogin, "1", "", ""},
		{"login refused", "POST", "/token", "", "username=alice&password=wrong", jwtauth.EventLogin, "1", "", "invalid_credentials"},
		{"login without a name", "POST", "/token", "", "", jwtauth.EventLogin, "", "", "missing_fields"},
		{"validate", "POST", "/token/validate", "alice", "", jwtauth.EventValidate, "1", "", ""},
		{"validate refused", "POST", "/token/validate", "", "", jwtauth.EventValidate, "", "", "missing_token"},
		{"refresh refused", "POST", "/token/refresh", "", "refresh_token=x", jwtauth.EventRefresh, "", "", "jwt_auth_invalid_refresh_token"},
		{"revoke", "POST", "/token/revoke", "alice", "", jwtauth.EventRevoke, "1", "", ""},
		{"list", "GET", "/admin/tokens", "root", "", jwtauth.EventReadSessions, "2", "", ""},
		{"list refused", "GET", "/admin/tokens", "alice", "", jwtauth.EventReadSessions, "1", "", "rest_forbidden"},
		{"list with a bad filter", "GET", "/admin/tokens?status=dead", "root", "", jwtauth.EventReadSessions, "2", "", "rest_invalid_param"},
		{"session that is not there", "GET", "/admin/tokens/x", "root", "", jwtauth.EventReadSessions, "2", "", "not_found"},
		{"bad JSON", "POST", "/token/refresh", "", "%", jwtauth.EventRefresh, "", "", "bad_request"},
		{"session ended by an administrator", "PUT", "/admin/tokens/{session}", "root", "", jwtauth.EventSessionEnd, "1", "2", ""},
		{"session deleted by an administrator", "DELETE", "/admin/tokens/{session}", "root", "", jwtauth.EventSessionEnd, "1", "2", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var events []jwtauth.Event
			k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro}, func(cfg *jwtauth.Config) {
				cfg.Hooks.OnEvent = func(_ context.Context, e jwtauth.Event) {
					if e.Name != jwtauth.EventNewDevice { // beside the login
						events = append(events, e)
					}
				}
			})
			k.register(t, "alice")
			k.register(t, "root", "administrator")
			alice := k.login(t, "alice")
			token := map[string]string{"alice": alice.AccessToken, "root": k.login(t, "root").AccessToken}[tc.token]
			events = nil
			k.send(tc.method, "/jwt-auth/v1"+strings.Replace(tc.path, "{session}", alice.Session.ID, 1), token, tc.form)
			if len(events) != 1 {
				t.Fatalf("%d records: %+v", len(events), events)
			}
			if e := events[0]; e.Name != tc.event || e.UserID != tc.user || e.ActorID != tc.actor || e.Reason != tc.reason {
				t.Errorf("recorded %s of %q by %q, reason %q", e.Name, e.UserID, e.ActorID, e.Reason)
			}
		})
	}
}

// What a hook of the host refuses keeps its code: the host's front end knows it.
func TestHookRefuses(t *testing.T) {
	k := newKit(t, wpjwt.Config{Mode: wpjwt.Pro}, func(cfg *jwtauth.Config) {
		cfg.Hooks.BeforeLogin = func(context.Context, jwtauth.User) error {
			return jwtauth.Refuse("second_factor", "A second factor is needed.")
		}
	})
	k.register(t, "alice")
	w := k.send("POST", "/jwt-auth/v1/token", "", loginForm)
	if body := answer(t, w); w.Code != 403 || body["code"] != "second_factor" || body["message"] != "A second factor is needed." {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

// A panic in a hook ends one request and not the process.
func TestPanicIsContained(t *testing.T) {
	k := newKit(t, wpjwt.Config{}, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{}
		cfg.Hooks.Limit = func(context.Context, string, jwtauth.Rule) jwtauth.Rule { panic("secret thing") }
	})
	w := k.send("POST", "/jwt-auth/v1/token", "", loginForm)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}

func TestConfigRefused(t *testing.T) {
	a := newKit(t, wpjwt.Config{}).auth
	for name, cfg := range map[string]wpjwt.Config{
		"unknown mode":                       {Mode: 2},
		"longer than MaxTTL":                 {TTL: week + 1},
		"rule for an endpoint of Pro":        {Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"refresh": {Off: true}}}},
		"rule for an endpoint of the native": {Mode: wpjwt.Pro, Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"login": {Off: true}}}},
	} {
		if _, err := wpjwt.New(a, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzRequest checks that no request is a fault of the server.
func FuzzRequest(f *testing.F) {
	k := newKit(f, wpjwt.Config{Mode: wpjwt.Pro})
	k.register(f, "root", "administrator")
	root := k.login(f, "root").AccessToken
	for _, target := range []string{"/token", "/token/validate", "/token/refresh", "/token/revoke", "/admin/tokens?page=2&status=active&created_at=2026-01-01", "/admin/tokens/x"} {
		f.Add("POST", target, "application/json", `{"username":"alice","password":"x","refresh_token":"jr1.x"}`)
		f.Add("GET", target, "application/x-www-form-urlencoded", "username=alice&password=%zz")
		f.Add("PUT", target, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice\r\n--b--")
	}
	f.Fuzz(func(t *testing.T, method, target, media, body string) {
		r, err := http.NewRequest(method, "http://auth.example.test/wp-json/jwt-auth/v1"+target, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", media)
		r.Header.Set("Authorization", "Bearer "+root)
		w := httptest.NewRecorder()
		k.handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s %q answered %d %s", method, target, w.Code, w.Body)
		}
	})
}
