package jwtauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// exampleConfig is what New needs, with keys that end with the program. Real
// ones come from OpenKeys and OpenSecret, or from the operator.
func exampleConfig() jwtauth.Config {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	return jwtauth.Config{
		Issuer: "https://auth.example.com",
		Keys:   keys,
		Secret: secret,
		Store:  jwtauth.NewMemoryStore(),
		Logger: slog.New(slog.DiscardHandler),
	}
}

// exampleAuth is an Auth with one account.
func exampleAuth() *jwtauth.Auth {
	auth, err := jwtauth.New(exampleConfig())
	if err != nil {
		log.Fatal(err)
	}
	_, err = auth.CreateUser(context.Background(), jwtauth.Registration{
		Username: "ada", Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	return auth
}

// get asks a handler with a token, or without one, and prints the answer.
func get(h http.Handler, path, token string) {
	r := httptest.NewRequest("GET", path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
}

// Four fields are required. Every mistake is reported at once.
func ExampleNew() {
	auth, err := jwtauth.New(exampleConfig())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(auth)

	cfg := exampleConfig()
	cfg.Issuer, cfg.Keys = "auth.example.com", nil
	_, err = jwtauth.New(cfg)
	fmt.Println(err)
	// Output:
	// jwtauth.Auth(https://auth.example.com)
	// jwtauth: Config.Issuer must be an absolute http or https URL
	// jwtauth: Config.Keys is required
}

// The API goes on the host's own mux, below any prefix.
func ExampleAuth_Handler() {
	auth := exampleAuth()
	mux := http.NewServeMux()
	mux.Handle("/auth/", http.StripPrefix("/auth", auth.Handler()))

	server := httptest.NewServer(mux)
	defer server.Close()
	r, err := http.Post(server.URL+"/auth/token", "application/json",
		strings.NewReader(`{"username":"ada","password":"not her pass phrase"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%s", r.Status, body)
	// Output:
	// 401 Unauthorized
	// {"code":"invalid_credentials","message":"The user name or password is incorrect.","data":{"status":401}}
}

// Routes are for routers with their own way of mounting, and for hosts that
// want some of the endpoints only.
func ExampleAuth_Routes() {
	auth := exampleAuth()
	mux := http.NewServeMux()
	for _, route := range auth.Routes() {
		switch route.Name {
		case "register", "delete-me": // this host has its own
			continue
		}
		mux.Handle(route.Method+" /auth"+route.Path, route.Handler)
	}
	get(mux, "/auth/me", "")
	// Output: 401 {"code":"missing_token","message":"This request needs an access token.","data":{"status":401}}
}

// A host with its own handlers calls the methods behind the endpoints.
func ExampleAuth_Login() {
	auth := exampleAuth()
	ctx := context.Background()

	grant, err := auth.Login(ctx, jwtauth.Credentials{Login: "Ada@Example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grant.TokenType, "for", grant.User.Login)

	_, err = auth.Login(ctx, jwtauth.Credentials{Login: "nobody", Password: "a long pass phrase"})
	fmt.Println(errors.Is(err, jwtauth.ErrInvalidCredentials), jwtauth.Code(err), jwtauth.Status(err))
	// Output:
	// Bearer for ada
	// true invalid_credentials 401
}

func ExampleAuth_Register() {
	auth := exampleAuth()
	ctx := context.Background()

	grant, err := auth.Register(ctx, jwtauth.Registration{
		Username: "grace", Email: "grace@example.com", Password: "another pass phrase", Name: "Grace"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grant.User.DisplayName, grant.User.Roles)

	// Names are compared in one canonical form.
	_, err = auth.Register(ctx, jwtauth.Registration{
		Username: "ADA", Email: "other@example.com", Password: "another pass phrase"})
	fmt.Println(errors.Is(err, jwtauth.ErrLoginTaken))
	// Output:
	// Grace [subscriber]
	// true
}

// Each refresh gives a new pair. The token before the current one still works
// for a moment (SessionConfig.Grace), so a client that lost the answer, or two
// tabs that refresh at once, end up with the same successor.
func ExampleAuth_Refresh() {
	auth := exampleAuth()
	ctx := context.Background()
	grant, err := auth.Login(ctx, jwtauth.Credentials{Username: "ada", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}

	first, err := auth.Refresh(ctx, grant.RefreshToken)
	if err != nil {
		log.Fatal(err)
	}
	again, err := auth.Refresh(ctx, grant.RefreshToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a new token:", first.RefreshToken != grant.RefreshToken)
	fmt.Println("the same successor:", first.RefreshToken == again.RefreshToken)
	// Output:
	// a new token: true
	// the same successor: true
}

// Revoke is the log-out. It takes either token and ends the session of both.
func ExampleAuth_Revoke() {
	auth := exampleAuth()
	ctx := context.Background()
	grant, err := auth.Login(ctx, jwtauth.Credentials{Username: "ada", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}

	if err := auth.Revoke(ctx, grant.AccessToken); err != nil {
		log.Fatal(err)
	}
	_, err = auth.Verify(ctx, grant.AccessToken)
	fmt.Println(jwtauth.Code(err))
	_, err = auth.Refresh(ctx, grant.RefreshToken)
	fmt.Println(jwtauth.Code(err))
	fmt.Println(auth.Revoke(ctx, "no token at all"))
	// Output:
	// jwt_auth_invalid_token
	// jwt_auth_invalid_refresh_token
	// <nil>
}

// Issue is for hosts that sign users in by their own means.
func ExampleAuth_Issue() {
	auth := exampleAuth()
	ctx := context.Background()
	user, err := auth.UserByLogin(ctx, "ada")
	if err != nil {
		log.Fatal(err)
	}

	// After the host has checked, say, a client certificate:
	grant, err := auth.Issue(ctx, user.ID)
	if err != nil {
		log.Fatal(err)
	}
	identity, err := auth.Verify(ctx, grant.AccessToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(identity.UserID == user.ID)
	// Output: true
}

// After a change of password every token of the account is dead.
func ExampleAuth_ChangePassword() {
	auth := exampleAuth()
	ctx := context.Background()
	grant, err := auth.Login(ctx, jwtauth.Credentials{Username: "ada", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}

	err = auth.ChangePassword(ctx, jwtauth.PasswordChange{
		UserID: grant.User.ID, Current: "a long pass phrase", New: "an even longer pass phrase"})
	fmt.Println(err)
	_, err = auth.Verify(ctx, grant.AccessToken)
	fmt.Println(jwtauth.Code(err), jwtauth.Reason(err))
	// Output:
	// <nil>
	// jwt_auth_invalid_token revoked
}

// Behind Require there is always an identity.
func ExampleAuth_Require() {
	auth := exampleAuth()
	hello := auth.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, _ := jwtauth.FromContext(r.Context())
		fmt.Fprintln(w, "hello, user", identity.UserID)
	}))

	grant, err := auth.Login(context.Background(), jwtauth.Credentials{Username: "ada", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	get(hello, "/hello", grant.AccessToken)
	get(hello, "/hello", "")
	// Output:
	// 200 hello, user 1
	// 401 {"code":"missing_token","message":"This request needs an access token.","data":{"status":401}}
}

func ExampleAuth_RequireRole() {
	auth := exampleAuth()
	ctx := context.Background()
	admin := auth.RequireRole("administrator", "editor")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "welcome")
	}))
	credentials := jwtauth.Credentials{Username: "ada", Password: "a long pass phrase"}

	before, err := auth.Login(ctx, credentials)
	if err != nil {
		log.Fatal(err)
	}
	get(admin, "/admin", before.AccessToken)

	// New roles end all sessions: no token goes on with the old ones.
	if err := auth.SetRoles(ctx, before.User.ID, "editor"); err != nil {
		log.Fatal(err)
	}
	after, err := auth.Login(ctx, credentials)
	if err != nil {
		log.Fatal(err)
	}
	get(admin, "/admin", after.AccessToken)
	// Output:
	// 403 {"code":"rest_forbidden","message":"You are not allowed to do that.","data":{"status":403}}
	// 200 welcome
}

// The common mistake: Authenticate identifies the caller and lets everybody in.
// A handler behind it that does not look at the second result of FromContext
// serves strangers. Where an identity is needed, use Require.
func ExampleAuth_Authenticate() {
	auth := exampleAuth()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := jwtauth.FromContext(r.Context()); !ok {
			fmt.Fprintln(w, "somebody unknown reads this page")
			return
		}
		fmt.Fprintln(w, "somebody known reads this page")
	})

	get(auth.Authenticate(page), "/", "")
	get(auth.Authenticate(page), "/", "not.a.token")
	get(auth.Require(page), "/", "not.a.token")
	// Output:
	// 200 somebody unknown reads this page
	// 200 somebody unknown reads this page
	// 401 {"code":"jwt_auth_invalid_token","message":"The token is not valid.","data":{"status":401}}
}

// Each answer tells how much is left.
func ExampleAuth_RateLimit() {
	auth := exampleAuth()
	search := auth.RateLimit("search", jwtauth.Rule{Limit: 1, Per: 24 * time.Hour})(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "found") }))

	for range 2 {
		w := httptest.NewRecorder()
		search.ServeHTTP(w, httptest.NewRequest("GET", "/search", nil))
		fmt.Println(w.Code, w.Header().Get("X-RateLimit-Limit"), w.Header().Get("X-RateLimit-Remaining"))
	}
	// Output:
	// 200 1 0
	// 429 1 0
}

// A service that only checks the tokens of another one needs its public key, or
// the URL of its JWKS (VerifierConfig.JWKS). It can't issue anything.
func ExampleNewVerifier() {
	issuer, kid, publicPEM := exampleIssuer()

	key, err := jwtauth.ES256(kid, publicPEM)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewVerifyKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: keys, Issuer: "https://auth.example.com"})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	grant, err := issuer.Register(ctx, jwtauth.Registration{Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	identity, err := verifier.Verify(ctx, grant.AccessToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(identity.UserID, identity.HasRole("subscriber"))

	_, err = verifier.Verify(ctx, grant.AccessToken+"A")
	fmt.Println(jwtauth.Code(err))
	// Output:
	// 1 true
	// jwt_auth_invalid_token
}

// exampleIssuer is the other service: an Auth, and what it tells about its key.
func exampleIssuer() (auth *jwtauth.Auth, kid string, publicPEM []byte) {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	cfg := exampleConfig()
	if cfg.Keys, err = jwtauth.NewKeySet(key); err != nil {
		log.Fatal(err)
	}
	if auth, err = jwtauth.New(cfg); err != nil {
		log.Fatal(err)
	}
	if publicPEM, err = key.PublicPEM(); err != nil {
		log.Fatal(err)
	}
	return auth, key.ID(), publicPEM
}

// A hook adds claims to access tokens, and any verifier reads them. It can't
// set the claims that decide something, such as sub or roles.
func ExampleClaims_Decode() {
	cfg := exampleConfig()
	cfg.Hooks.Claims = func(_ context.Context, u jwtauth.User, _ jwtauth.Session) (map[string]any, error) {
		return map[string]any{"tenant": map[string]any{"id": 7, "plan": "basic"}}, nil
	}
	auth, err := jwtauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	grant, err := auth.Register(ctx, jwtauth.Registration{Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}

	identity, err := auth.Verify(ctx, grant.AccessToken)
	if err != nil {
		log.Fatal(err)
	}
	var tenant struct {
		ID   int
		Plan string
	}
	found, err := identity.Claims.Decode("tenant", &tenant)
	fmt.Println(found, err, tenant.ID, tenant.Plan)
	// Output: true <nil> 7 basic
}

// The embedded store keeps everything in memory. Single parts of it can be
// replaced, here the accounts by those of the host.
func ExampleNewMemoryStore() {
	cfg := exampleConfig()
	cfg.Store = jwtauth.NewMemoryStore()
	cfg.Users = jwtauth.NewMemoryStore() // the host's own jwtauth.UserStore
	auth, err := jwtauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := auth.Register(ctx, jwtauth.Registration{Email: "ada@example.com", Password: "a long pass phrase"}); err != nil {
		log.Fatal(err)
	}
	_, err = cfg.Users.UserByLogin(ctx, "ada@example.com")
	fmt.Println("in the host's table:", err == nil)
	_, err = cfg.Store.UserByLogin(ctx, "ada@example.com")
	fmt.Println("in the store:", err == nil)
	// Output:
	// in the host's table: true
	// in the store: false
}
