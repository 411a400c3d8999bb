package simplejwtlogin_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	sjl "github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
	"github.com/go-jwtauth/jwtauth/internal/attack"
)

// refused reports an answer that is no refusal of the request.
func refused(t *testing.T, what string, r answer) {
	t.Helper()
	if r.status < 400 || r.status >= 500 || r.at("success") == true {
		t.Errorf("%s answered %d %s", what, r.status, r.text)
	}
}

// Every token that the core refuses is refused on every route that takes one,
// although there is an account for it.
func TestAttackVectorsRefused(t *testing.T) {
	vectors := attack.Load(t, "../../testdata/jwt")
	secret := must(hex.DecodeString(vectors.Keys.HS256))(t)
	kits := map[string][]*kit{}
	for alg, key := range map[string]jwtauth.Key{
		"HS256": must(jwtauth.HS256("hs-1", secret))(t),
		"RS256": must(jwtauth.RS256("rs-1", []byte(vectors.Keys.RSA)))(t),
		"ES256": must(jwtauth.ES256("es-1", []byte(vectors.Keys.P256)))(t),
	} {
		for _, v := range []sjl.Version{sjl.V3, sjl.V4} {
			store := jwtauth.NewMemoryStore()
			must(store.CreateUser(bg, jwtauth.User{ID: "user-1", Login: "victim", LoginKey: "victim", Email: "v@example.test", EmailKey: "v@example.test"}))(t)
			k := newKit(t, everything(v), func(cfg *jwtauth.Config) {
				cfg.Issuer, cfg.Audience = vectors.Profile.Iss, []string{vectors.Profile.Aud}
				cfg.Keys, cfg.Store = must(jwtauth.NewKeySet(key))(t), store
				cfg.Tokens = jwtauth.TokenConfig{TTL: time.Duration(vectors.Profile.MaxLifetimeSeconds) * time.Second, Leeway: -1}
			})
			k.clock.Add(time.Unix(vectors.Profile.Now, 0).Sub(k.clock.Now()))
			kits[alg] = append(kits[alg], k)
		}
	}
	rejected := 0
	for _, v := range vectors.Vectors {
		token := v.Text(t, secret)
		switch v.Expect {
		case "reject":
			rejected++
			t.Run(v.ID, func(t *testing.T) {
				for _, k := range kits[v.Verifier] {
					refusedEverywhere(t, k, token)
				}
			})
		case "accept":
			for _, k := range kits[v.Verifier] {
				if r := k.send(t, "POST", "/auth/validate", object{"JWT": token}); r.status != 200 {
					t.Errorf("%s: good token answered %d %s", v.ID, r.status, r.text)
				}
			}
		}
	}
	if rejected < 200 {
		t.Errorf("only %d rows", rejected)
	}
}

func refusedEverywhere(t *testing.T, k *kit, token string) {
	t.Helper()
	for _, route := range []string{"POST /auth/refresh", "POST /auth/validate", "POST /auth/revoke", "DELETE /users", "PUT /user/reset_password", "POST /autologin"} {
		method, path, _ := strings.Cut(route, " ")
		refused(t, route, k.send(t, method, path, object{"JWT": token, "email": "v@example.test", "new_password": otherPass}))
	}
	refused(t, "refresh_token", k.send(t, "POST", "/auth/refresh", object{"refresh_token": token}))
	if !strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }) && len(token) < 60<<10 {
		refused(t, "header", k.send(t, "GET", "/auth/validate", nil, "Authorization", "Bearer "+token))
		refused(t, "query", k.send(t, "GET", "/autologin?JWT="+url.QueryEscape(token), nil))
	}
	if _, err := k.auth.UserByID(bg, "user-1"); err != nil {
		t.Fatal("the account is gone")
	}
}

// What the core decides about accounts holds here, in both generations.
func TestBehaviourOfTheCore(t *testing.T) {
	for _, tc := range []struct {
		name   string
		body   object
		happen func(*testing.T, *kit, jwtauth.User)
		number int
		v3, v4 int
	}{
		{name: "right password accepted", v3: 200, v4: 200},
		{name: "unknown user refused as wrong password", body: object{"username": "nobody"}, number: 48, v3: 400, v4: 401},
		{name: "wrong password refused", body: object{"password": "wrong"}, number: 48, v3: 400, v4: 401},
		{name: "locked account refused as wrong password", number: 48, v3: 400, v4: 401, happen: func(t *testing.T, k *kit, _ jwtauth.User) {
			for i := range 12 {
				r := httptest.NewRequest("POST", namespace+"/auth?username=alice&password=wrong", nil)
				r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", i+1)
				k.do(t, r)
			}
		}},
		{name: "disabled account refused after the right password", number: 403, v3: 403, v4: 403, happen: func(t *testing.T, k *kit, u jwtauth.User) {
			if err := k.auth.Disable(bg, u.ID); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "unconfirmed address refused after the right password", number: 403, v3: 403, v4: 403, body: object{"username": "carol"},
			happen: func(t *testing.T, k *kit, _ jwtauth.User) { k.register(t, "carol") }},
	} {
		for v, want := range map[sjl.Version]int{sjl.V3: tc.v3, sjl.V4: tc.v4} {
			t.Run(fmt.Sprintf("%s, V%d", tc.name, v+3), func(t *testing.T) {
				k := newKit(t, everything(v), func(cfg *jwtauth.Config) {
					cfg.Lockout, cfg.Verification = jwtauth.LockoutConfig{}, jwtauth.VerificationConfig{Required: true}
				})
				u := must(k.auth.CreateUser(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword, EmailVerified: true}))(t)
				if tc.happen != nil {
					tc.happen(t, k, u)
				}
				body := object{"username": "alice", "password": testPassword}
				maps.Copy(body, tc.body)
				if r := k.send(t, "POST", "/auth", body); r.status != want || r.number() != tc.number {
					t.Errorf("answered %d %s, want %d and %d", r.status, r.text, want, tc.number)
				}
			})
		}
	}
}

// One store, one set of tokens: what happens through one API is so in the other.
func TestNativeAPIAndDialectAreOne(t *testing.T) {
	k := newKit(t, everything(sjl.V3))
	native := k.auth.Handler()
	status := func(method, path, token string) int {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		native.ServeHTTP(w, r)
		return w.Code
	}
	r := k.send(t, "POST", "/users", object{"email": "alice@example.test", "password": testPassword, "user_login": "alice"})
	if status("POST", "/token/validate", r.str("jwt")) != 200 {
		t.Errorf("the native API refuses %s", r.text)
	}
	g := must(k.auth.Login(bg, jwtauth.Credentials{Username: "alice", Password: testPassword}))(t)
	if r := k.send(t, "GET", "/auth/validate?JWT="+g.AccessToken, nil); r.status != 200 {
		t.Errorf("the dialect refuses a native token: %s", r.text)
	}
	if status("POST", "/token/revoke", g.AccessToken) != 200 {
		t.Fatal("native revoke failed")
	}
	if r := k.send(t, "GET", "/auth/validate?JWT="+g.AccessToken, nil); r.number() != 55 {
		t.Errorf("revoked natively, answered %s", r.text)
	}
	token := k.login(t, "alice")
	k.send(t, "POST", "/auth/revoke", object{"JWT": token})
	if status("POST", "/token/validate", token) != 401 {
		t.Error("revoked through the dialect, and natively alive")
	}
}

func TestPayload(t *testing.T) {
	all := []string{"email", "id", "site", "username"}
	for _, tc := range []struct {
		name   string
		cfg    sjl.Config
		claims []string
		life   time.Duration
	}{
		{"all members by default", sjl.Config{}, all, time.Hour},
		{"chosen members alone", sjl.Config{Payload: []string{"exp", "id"}}, []string{"id"}, time.Hour},
		{"life of its own", sjl.Config{TTL: 5 * time.Minute}, all, 5 * time.Minute},
		{"without exp the longest life", sjl.Config{Payload: []string{"iat"}}, nil, 3 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKit(t, tc.cfg, func(cfg *jwtauth.Config) { cfg.Tokens.MaxTTL = 3 * time.Hour })
			u := k.register(t, "alice")
			id := must(k.auth.Verify(bg, k.login(t, "alice")))(t)
			for name, want := range map[string]any{"email": u.Email, "id": 1.0, "site": testIssuer, "username": "alice"} {
				var got any
				if has, err := id.Claims.Decode(name, &got); err != nil || has != slices.Contains(tc.claims, name) || has && got != want {
					t.Errorf("%s is %v (%v), want %v", name, got, err, want)
				}
			}
			if life := id.Claims.ExpiresAt.Sub(id.Claims.IssuedAt); life != tc.life {
				t.Errorf("lives %v, want %v", life, tc.life)
			}
		})
	}
}

// What a caller puts into its own token is what the host has named, is text, and
// replaces nothing.
func TestCallerClaims(t *testing.T) {
	k := newKit(t, sjl.Config{CallerClaims: []string{"theme", "page"}})
	k.register(t, "alice")
	given := object{"theme": "dark", "page": 7, "sub": "2", "id": 99, "email": "root@example.test", "roles": "administrator", "exp": int64(4102444800), "admin": true}
	for _, payload := range []any{given, `{"theme":"dark","page":7,"sub":"2","id":99,"admin":true,"exp":4102444800}`} {
		r := k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword, "payload": payload})
		second := k.send(t, "POST", "/auth/refresh", object{"JWT": r.str("data.jwt")})
		for what, token := range map[string]string{"login": r.str("data.jwt"), "refresh": second.str("data.jwt")} {
			id := must(k.auth.Verify(bg, token))(t)
			claims := string(id.Claims.Raw())
			if id.UserID != "1" || !strings.Contains(claims, `"theme":"dark"`) || !strings.Contains(claims, `"page":"7"`) ||
				strings.Contains(claims, "admin") || !strings.Contains(claims, `"id":1,`) || strings.Contains(claims, "root@") {
				t.Errorf("%s: claims %s", what, claims)
			}
		}
	}
	r := k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword, "payload": object{"theme": strings.Repeat("x", 3000)}})
	if r.status != 400 || r.number() != 400 {
		t.Errorf("a large payload answered %d %s", r.status, r.text)
	}
	forged := "eyJhbGciOiJIUzI1NiJ9.eyJ0aGVtZSI6ImRhcmsifQ.c2ln"
	refused(t, "forged token", k.send(t, "POST", "/auth/refresh", object{"JWT": forged}))
}

// After a refresh the old token dies with the grace window, and after a change
// of the password every token does.
func TestOldTokensDie(t *testing.T) {
	for _, v := range []sjl.Version{sjl.V3, sjl.V4} {
		k := newKit(t, everything(v))
		k.register(t, "alice")
		first := k.login(t, "alice")
		second := k.send(t, "POST", "/auth/refresh", object{"JWT": first}).str("data.jwt")
		alive := func(token string) bool { return k.send(t, "GET", "/auth/validate?JWT="+token, nil).status == 200 }
		if !alive(first) || !alive(second) {
			t.Error("a token died within the grace window")
		}
		k.clock.Add(time.Minute)
		if alive(first) || !alive(second) {
			t.Error("after the grace window the old token must be dead and the new one alive")
		}
		other := k.login(t, "alice")
		r := k.send(t, "PUT", "/user/reset_password", object{"email": "ALICE@example.test", "new_password": otherPass, "JWT": second})
		if r.status != 200 || alive(second) || alive(other) {
			t.Errorf("after a new password tokens live on (%s)", r.text)
		}
		if k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword}).status == 200 {
			t.Error("the old password still logs in")
		}
	}
}

// An access token refreshes its session until RefreshTTL after it expired, and
// not once its session is over.
func TestRefreshWindow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		window time.Duration
		after  time.Duration
		number int
	}{
		{"expired within the window refreshed", 0, 13 * 24 * time.Hour, 0},
		{"expired before the window refused", 0, 15 * 24 * time.Hour, 50},
		{"the last second refreshed", time.Hour, 2*time.Hour - time.Second, 0},
		{"the end of the window refused", time.Hour, 2 * time.Hour, 50},
		{"without a window expired refused", -1, time.Hour, 50},
		{"without a window alive refreshed", -1, time.Hour - time.Second, 0},
		{"session over refused", 60 * 24 * time.Hour, 31 * 24 * time.Hour, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newKit(t, sjl.Config{RefreshTTL: tc.window})
			k.register(t, "alice")
			token := k.login(t, "alice")
			k.clock.Add(tc.after)
			r := k.send(t, "POST", "/auth/refresh", object{"JWT": token})
			if r.number() != tc.number || (r.status == 200) != (tc.number == 0) {
				t.Errorf("answered %d %s", r.status, r.text)
			}
			if tc.number == 0 {
				must(k.auth.Verify(bg, r.str("data.jwt")))(t)
			}
		})
	}
}

// password_hash stands for nobody who can do more than a new account.
func TestPasswordHash(t *testing.T) {
	k := newKit(t, sjl.Config{DangerouslyAcceptPasswordHash: true}, func(cfg *jwtauth.Config) { cfg.Lockout = jwtauth.LockoutConfig{} })
	login := func(name string, hash jwtauth.Secret) int {
		return k.send(t, "POST", "/auth", object{"username": name, "password_hash": string(hash)}).status
	}
	alice := k.register(t, "alice")
	if s := login("alice", alice.PasswordHash); s != 200 {
		t.Errorf("own hash answered %d", s)
	}
	for name, role := range map[string]string{"root": "administrator", "ed": "editor"} {
		if s := login(name, k.register(t, name, role).PasswordHash); s != 400 {
			t.Errorf("hash of the %s answered %d", role, s)
		}
	}
	if s := login("alice", testPassword); s != 400 {
		t.Errorf("the password as a hash answered %d", s)
	}
	for range 12 {
		login("alice", "wrong")
	}
	if r := k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword}); r.number() != 48 {
		t.Errorf("wrong hashes are not counted: %s", r.text)
	}
}

func TestRegistrationKeepsWhatIsAllowed(t *testing.T) {
	k := newKit(t, everything(sjl.V3))
	for name, meta := range map[string]any{"carol": object{"phone": 123, "wp_capabilities": "administrator", "rich_editing": "x"}, "dave": `{"phone":"123","x":"y"}`} {
		r := k.send(t, "POST", "/users", object{"email": name + "@example.test", "password": otherPass, "user_login": name, "user_meta": meta,
			"rich_editing": true, "comment_shortcuts": "0", "admin_color": "fresh", "locale": "de_DE", "first_name": "F", "last_name": "L",
			"user_registered": "2001-01-01 00:00:00", "user_activation_key": "x", "spam": true, "roles": []string{"administrator"}, "role": "administrator", "ID": 1})
		if r.status != 200 {
			t.Fatalf("answered %d %s", r.status, r.text)
		}
		u := must(k.auth.UserByLogin(bg, name))(t)
		want := map[string]string{"phone": "123", "rich_editing": "true", "comment_shortcuts": "false", "admin_color": "fresh",
			"locale": "de_DE", "first_name": "F", "last_name": "L", "nickname": name}
		if !maps.Equal(u.Meta, want) || !slices.Equal(u.Roles, []string{"subscriber"}) || !u.Created.Equal(epoch) || u.DisplayName != "F L" {
			t.Errorf("kept %+v", u)
		}
	}
}

func TestRandomPassword(t *testing.T) {
	k := newKit(t, with(sjl.V3, func(c *sjl.Config) { c.RandomPassword, c.RegisterRoles = true, []string{"customer"} }))
	r := k.send(t, "POST", "/users", object{"email": "carol@example.test", "password": testPassword})
	if r.status != 200 || r.str("jwt") == "" {
		t.Fatalf("answered %d %s", r.status, r.text)
	}
	if r := k.send(t, "POST", "/auth", object{"email": "carol@example.test", "password": testPassword}); r.number() != 48 {
		t.Errorf("the password of the request logs in: %s", r.text)
	}
	code := k.mailedCode(t, "carol@example.test")
	r = k.send(t, "PUT", "/user/reset_password", object{"email": "carol@example.test", "new_password": otherPass, "code": code})
	if r.status != 200 || k.send(t, "POST", "/auth", object{"email": "carol@example.test", "password": otherPass}).status != 200 {
		t.Errorf("the owner can't choose a password: %s", r.text)
	}
	if u := must(k.auth.UserByLogin(bg, "carol@example.test"))(t); !slices.Equal(u.Roles, []string{"customer"}) {
		t.Errorf("roles %v", u.Roles)
	}
}

// A code may be a JSON number; its way can be the host's; it works once.
func TestDeliveredCode(t *testing.T) {
	codes := make(chan string, 1)
	k := newKit(t, with(sjl.V3, func(c *sjl.Config) {
		c.DeliverCode = func(_ context.Context, u jwtauth.User, code string) {
			if u.PasswordHash != "" {
				code = "hash"
			}
			codes <- code
		}
	}))
	k.register(t, "alice")
	k.send(t, "POST", "/user/reset_password", object{"email": "nobody@example.test"})
	k.send(t, "POST", "/user/reset_password", object{"email": "alice@example.test"})
	code := <-codes
	for i, want := range []int{200, 400} {
		r := k.send(t, "PUT", "/user/reset_password", object{"email": "alice@example.test", "new_password": otherPass, "code": code})
		if r.status != want {
			t.Errorf("use %d answered %d %s", i+1, r.status, r.text)
		}
	}
	if err := k.auth.Close(bg); err != nil {
		t.Fatal(err)
	}
	if sent := k.mail.Messages(); len(sent) != 1 || sent[0].Data.Code != "" { // the notice of a new password
		t.Errorf("mailed %v", sent)
	}
}

// A caller has one set of tries, whichever API it uses.
func TestLimitsAreShared(t *testing.T) {
	k := newKit(t, everything(sjl.V3), func(cfg *jwtauth.Config) { cfg.Limits = jwtauth.LimitConfig{} })
	for range 5 {
		r := httptest.NewRequest("POST", "/token", strings.NewReader(`{"username":"a","password":"b"}`))
		r.Header.Set("Content-Type", "application/json")
		k.auth.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	r := k.send(t, "POST", "/auth", object{"username": "alice", "password": testPassword})
	if r.status != 429 || r.number() != 429 || r.header.Get("Retry-After") == "" || r.header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("answered %d %v %s", r.status, r.header, r.text)
	}
}

// broken is a store whose parts fail when they are told to.
type broken struct {
	*jwtauth.MemoryStore
	down bool
}

var errDown = errors.New("the store is down")

func (b *broken) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	if b.down {
		return jwtauth.User{}, errDown
	}
	return b.MemoryStore.UserByLogin(ctx, key)
}

func (b *broken) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if b.down {
		return false, errDown
	}
	return b.MemoryStore.Revoked(ctx, ref)
}

func (b *broken) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	if b.down {
		return jwtauth.User{}, errDown
	}
	return b.MemoryStore.CreateUser(ctx, u)
}

func TestFaultsFailClosed(t *testing.T) {
	store := &broken{MemoryStore: jwtauth.NewMemoryStore()}
	k := newKit(t, everything(sjl.V3), func(cfg *jwtauth.Config) { cfg.Store = store })
	k.register(t, "alice")
	token := k.login(t, "alice")
	store.down = true
	for _, route := range []string{"POST /auth", "POST /auth/refresh", "POST /auth/validate", "POST /auth/revoke", "POST /users", "DELETE /users",
		"POST /user/reset_password", "PUT /user/reset_password", "GET /autologin?JWT=" + token} {
		method, path, _ := strings.Cut(route, " ")
		body := object{"JWT": token, "username": "alice", "password": testPassword, "email": "alice@example.test", "new_password": otherPass}
		r := k.send(t, method, path, body)
		if r.status != 503 || r.number() != 503 || r.header.Get("Retry-After") == "" || strings.Contains(r.text, "down") || r.header.Get("Set-Cookie") != "" {
			t.Errorf("%s answered %d %s", route, r.status, r.text)
		}
	}
}

// panicking is a store that a bug sits in.
type panicking struct{ *jwtauth.MemoryStore }

func (panicking) UserByLogin(context.Context, string) (jwtauth.User, error) { panic("secret state") }

func TestPanicIsContained(t *testing.T) {
	k := newKit(t, everything(sjl.V3), func(cfg *jwtauth.Config) { cfg.Users = panicking{jwtauth.NewMemoryStore()} })
	r := k.send(t, "POST", "/auth", object{"username": "alice", "password": "x"})
	if r.status != 500 || strings.Contains(r.text, "secret") {
		t.Errorf("answered %d %s", r.status, r.text)
	}
}

// Every request leaves one record, with its refusals.
func TestOutcomesAreRecorded(t *testing.T) {
	events := make(chan string, 100)
	drain := func() (all []string) {
		for len(events) > 0 {
			all = append(all, <-events)
		}
		return all
	}
	k := newKit(t, everything(sjl.V3), func(cfg *jwtauth.Config) {
		cfg.Hooks.OnEvent = func(_ context.Context, e jwtauth.Event) { events <- e.Name + " " + e.Result + " " + e.Reason }
	})
	k.register(t, "alice")
	token := k.login(t, "alice")
	drain()
	for _, tc := range []struct{ route, want string }{
		{"POST /auth?username=alice&password=wrong", "login refused invalid_credentials"},
		{"POST /auth", "login refused rest_invalid_param"},
		{"GET /auth/validate?JWT=" + token, "token.validate ok "},
		{"GET /auth/validate?JWT=a.b.c", "token.validate refused malformed"},
		{"GET /auth/validate", "token.validate refused missing_token"},
		{"POST /auth/refresh?JWT=" + token, "token.refresh ok "},
		{"POST /users?email=alice@example.test&password=wholly+different", "register refused existing_user_login"},
		{"POST /auth/revoke?JWT=" + token, "token.revoke ok "},
		{"POST /auth/revoke?JWT=" + token, "token.revoke refused revoked"},
	} {
		method, path, _ := strings.Cut(tc.route, " ")
		k.send(t, method, path, nil)
		if got := drain(); !slices.Equal(got, []string{tc.want}) {
			t.Errorf("%s left %q, want %q", tc.route, got, tc.want)
		}
	}
}

func TestNewReportsMistakes(t *testing.T) {
	plain := config(t, authtest.NewClock(epoch))
	plain.Cookies, plain.AutoLogin = jwtauth.CookieConfig{}, jwtauth.AutoLoginConfig{}
	for _, tc := range []struct {
		name string
		cfg  sjl.Config
		want string
	}{
		{"unknown version", sjl.Config{Version: 7}, "Version"},
		{"unknown member", sjl.Config{Payload: []string{"password"}}, "Payload"},
		{"life without end", sjl.Config{Payload: []string{"iat"}, TTL: time.Hour}, "TTL"},
		{"life that is too long", sjl.Config{TTL: 48 * time.Hour}, "TTL"},
		{"negative life", sjl.Config{TTL: -1}, "TTL"},
		{"claim of ours", sjl.Config{CallerClaims: []string{"sub"}}, "CallerClaims"},
		{"member of the payload", sjl.Config{CallerClaims: []string{"email"}}, "CallerClaims"},
		{"name that is none", sjl.Config{CallerClaims: []string{`a":1,"b`}}, "CallerClaims"},
		{"auto-login without cookies", sjl.Config{AutoLogin: true}, "AutoLogin"},
		{"login of browsers without auto-login", sjl.Config{RegisterLogin: true}, "RegisterLogin"},
		{"failure page elsewhere", sjl.Config{AutoLoginFailure: "https://evil.test/"}, "AutoLoginFailure"},
		{"reset by token without reset", sjl.Config{ResetWithJWT: true}, "ResetWithJWT"},
		{"no place for a token", sjl.Config{Tokens: sjl.TokenSources{NoHeader: true, NoParameter: true}}, "Tokens"},
		{"unknown endpoint", sjl.Config{Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"atuh": {}}}}, "atuh"},
		{"code that nobody has", sjl.Config{Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"auth": {Code: true}}}}, "code"},
		{"bad address", sjl.Config{Access: jwtauth.AccessConfig{Endpoints: map[string]jwtauth.AccessRule{"auth": {AllowIPs: []string{"x"}}}}}, "AllowIPs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := sjl.New(must(jwtauth.New(plain))(t), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New = %v, want a word about %s", err, tc.want)
			}
		})
	}
}

func TestProtect(t *testing.T) {
	for _, tc := range []struct {
		name, target, as string
		v3, v4, number   int
	}{
		{"public lets anybody in", "/wp-json/wp/v2/posts", "", 200, 200, 0},
		{"public takes no notice of a bad token", "/wp-json/wp/v2/posts", "bad", 200, 200, 0},
		{"protected refuses anonymous callers", "/wp-json/wp/v2/users", "", 403, 401, 75},
		{"protected refuses a bad token", "/wp-json/wp/v2/users", "bad", 403, 400, 2},
		{"protected refuses a revoked token", "/wp-json/wp/v2/users", "revoked", 403, 401, 55},
		{"protected lets users in", "/wp-json/wp/v2/users", "alice", 200, 200, 0},
		{"role lets its users in", "/wp-json/admin/v1/x", "root", 200, 200, 0},
		{"role refuses others", "/wp-json/admin/v1/x", "alice", 403, 403, 114},
		{"rest_route is another name of a route", "/?rest_route=/admin/v1/x", "alice", 403, 403, 114},
		{"rest_route behind an open route refused", "/wp-json/wp/v2/posts?rest_route=/admin/v1/x", "", 403, 401, 75},
		{"rest_route twice refused", "/?rest_route=/wp/v2/posts&rest_route=/admin/v1/x", "", 403, 400, 400},
		{"another spelling refused", "/wp-json//ADMIN/v1/../v1/x", "alice", 403, 403, 114},
	} {
		for v, want := range map[sjl.Version]int{sjl.V3: tc.v3, sjl.V4: tc.v4} {
			t.Run(fmt.Sprintf("%s, V%d", tc.name, v+3), func(t *testing.T) {
				k := newKit(t, everything(v))
				k.register(t, "alice")
				k.register(t, "root", "administrator")
				tokens := map[string]string{"": "", "bad": "a.b.c", "alice": k.login(t, "alice"), "root": k.login(t, "root"), "revoked": k.login(t, "alice")}
				if err := k.auth.Revoke(bg, tokens["revoked"]); err != nil {
					t.Fatal(err)
				}
				guard := must(k.api.Protect("/wp-json",
					jwtauth.ProtectRule{Pattern: "/wp-json/wp/v2/posts", Public: true},
					jwtauth.ProtectRule{Pattern: "/wp-json/admin/", Roles: []string{"administrator"}},
					jwtauth.ProtectRule{Pattern: "/{$}", Public: true}))(t)
				var seen string
				k.handler = guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if id, ok := jwtauth.FromContext(r.Context()); ok {
						seen = id.UserID
					}
				}))
				r := httptest.NewRequest("GET", tc.target, nil)
				if token := tokens[tc.as]; token != "" {
					r.Header.Set("Authorization", token)
				}
				a := k.do(t, r)
				wantNumber := tc.number
				if v == sjl.V3 && want == 403 {
					wantNumber = 403
					if a.str("data.type") != "simple-jwt-login-route-protect" {
						t.Errorf("type %q", a.str("data.type"))
					}
				}
				if a.status != want || a.number() != wantNumber {
					t.Errorf("answered %d %s, want %d and %d", a.status, a.text, want, wantNumber)
				}
				if wantSeen := map[string]string{"alice": "1", "root": "2"}[tc.as]; want == 200 && seen != wantSeen {
					t.Errorf("the handler sees %q, want %q", seen, wantSeen)
				}
			})
		}
	}
	if _, err := newKit(t, everything(sjl.V3)).api.Protect("/wp-json", jwtauth.ProtectRule{Pattern: "no pattern"}); err == nil {
		t.Error("a bad pattern is accepted")
	}
}

// A body beyond the bounds is refused as a request, not as a fault.
func TestBounds(t *testing.T) {
	k := newKit(t, everything(sjl.V3))
	var many, nested strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "a%d=1&", i)
		fmt.Fprintf(&nested, "user_meta[a%d]=1&", i)
	}
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"too large":    {strings.Repeat("x", 65<<10), 413},
		"too many":     {many.String(), 400},
		"too many in":  {nested.String(), 400},
		"too deep":     {strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), 400},
		"text and map": {"user_meta=1&user_meta[a]=2", 400},
		"map and text": {"user_meta[a]=2&user_meta=1", 400},
		"map twice":    {"user_meta[a]=2&user_meta[a]=1", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := k.do(t, httptest.NewRequest("POST", namespace+"/users", strings.NewReader(tc.body)))
			if r.status != tc.status {
				t.Errorf("answered %d %s, want %d", r.status, r.text, tc.status)
			}
		})
	}
}

// FuzzRequest checks that no request is a fault of the server, and that none gets
// in without a password.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ query, contentType, body string }{
		{"", "application/json", `{"username":"alice","password":"x","payload":{"a":1}}`},
		{"JWT=a.b.c&jwt=d", "", ""},
		{"a[b]=c&a[]=d&a[b][c]=e&=f&%zz=%", "application/x-www-form-urlencoded", "user_meta[phone]=1;2&email=a%40b"},
		{"", "multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"JWT\"\r\n\r\na.b.c\r\n--XX--\r\n"},
		{"", "multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\na\r\n--XX--\r\n"},
		{"refresh_token=jr1.abc", "text/plain", " {\"JWT\":null,\"email\":[1]}"},
	} {
		f.Add(seed.query, seed.contentType, seed.body)
	}
	k := newKit(f, everything(sjl.V3))
	k.register(f, "alice")
	routes := k.api.Routes()
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		for _, route := range routes {
			if route.Name == "register" {
				continue
			}
			r := &http.Request{Method: route.Method, URL: &url.URL{Path: route.Path, RawQuery: query}, Header: http.Header{"Content-Type": {contentType}},
				Body: io.NopCloser(strings.NewReader(body)), RemoteAddr: "192.0.2.1:1"}
			w := httptest.NewRecorder()
			route.Handler.ServeHTTP(w, r.WithContext(bg))
			if w.Code >= 500 || w.Code < 300 && !strings.Contains(w.Body.String(), "Reset password email") {
				t.Fatalf("%s %s answered %d %s", route.Method, route.Path, w.Code, w.Body)
			}
		}
	})
}

// The dialect offers what the host has switched off: nobody's token is at fault.
func TestResetOfAHostThatResetsNothing(t *testing.T) {
	off := func(cfg *jwtauth.Config) { cfg.Recovery.Off = true }
	for v, status := range map[sjl.Version]int{sjl.V3: 400, sjl.V4: 403} {
		k := newKit(t, everything(v), off)
		if a := k.send(t, "POST", "/user/reset_password", object{"email": "alice@example.test"}); a.status != status || a.number() != 56 {
			t.Errorf("asking for a code answered %d %s", a.status, a.text)
		}
		change := object{"email": "alice@example.test", "code": "123456", "new_password": otherPass}
		if a := k.send(t, "PUT", "/user/reset_password", change); a.status != status || a.number() != 56 {
			t.Errorf("a code answered %d %s", a.status, a.text)
		}
	}
}
