package authtest_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
)

// members is a handler of a host, for members alone.
func members(auth *jwtauth.Auth) http.Handler {
	return auth.RequireRole("member")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func status(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}

func TestSignedInClient(t *testing.T) {
	site := authtest.New(t)
	server := httptest.NewServer(members(site.Auth))
	defer server.Close()
	if got := status(t, authtest.SignedIn(t, site.Auth, "member"), server.URL); got != 200 {
		t.Errorf("a member: %d", got)
	}
	if got := status(t, authtest.SignedIn(t, site.Auth, "guest"), server.URL); got != 403 {
		t.Errorf("somebody else: %d", got)
	}
	if got := status(t, http.DefaultClient, server.URL); got != 401 {
		t.Errorf("a stranger: %d", got)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	for name, change := range map[string]func(*jwtauth.Config){
		"plain":           func(*jwtauth.Config) {},
		"several readers": func(cfg *jwtauth.Config) { cfg.Audience = []string{"https://a.example.test", authtest.Issuer} },
		"long lives":      func(cfg *jwtauth.Config) { cfg.Tokens.TTL, cfg.Tokens.MaxTTL = 12*time.Hour, 7*24*time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			site := authtest.New(t, change)
			server := httptest.NewServer(site.Auth.Require(members(site.Auth)))
			defer server.Close()
			if got := status(t, authtest.SignedIn(t, site.Auth, "member"), server.URL); got != 200 {
				t.Fatalf("a good token: %d", got)
			}
			want := map[string]string{"forged": jwtauth.ReasonSignature, "expired": jwtauth.ReasonExpired, "wrong key": jwtauth.ReasonSignature,
				"wrong audience": jwtauth.ReasonAudience, "wrong issuer": jwtauth.ReasonIssuer, "revoked": jwtauth.ReasonRevoked,
				"of the deleted": jwtauth.ReasonRevoked}
			for name, token := range site.BadTokens(t) {
				if got := status(t, authtest.Client(token), server.URL); got != 401 {
					t.Errorf("%s: %d", name, got)
				}
				_, err := site.Auth.Verify(t.Context(), token)
				if reason, known := want[name]; known && jwtauth.Reason(err) != reason {
					t.Errorf("%s: refused for %q, want %q", name, jwtauth.Reason(err), reason)
				}
			}
		})
	}
}

func TestClockMovesTheSite(t *testing.T) {
	site := authtest.New(t)
	g := authtest.SignIn(t, site.Auth)
	site.Clock.Add(time.Hour - time.Second)
	if _, err := site.Auth.Verify(t.Context(), g.AccessToken); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	site.Clock.Add(time.Second)
	if _, err := site.Auth.Verify(t.Context(), g.AccessToken); jwtauth.Reason(err) != jwtauth.ReasonExpired {
		t.Errorf("at its end: %v", err)
	}
}

func TestLastMail(t *testing.T) {
	site := authtest.New(t)
	u := authtest.NewUser(t, site.Auth)
	for range 2 {
		if err := site.Auth.ForgotPassword(t.Context(), jwtauth.Forgot{Login: u.Login}); err != nil {
			t.Fatal(err)
		}
		site.LastMail(t, jwtauth.MailResetCode) // mails of one moment may overtake each other
	}
	mail := site.LastMail(t, jwtauth.MailResetCode)
	err := site.Auth.ResetPassword(t.Context(), jwtauth.PasswordReset{Login: u.Login, Code: mail.Data.Code, Password: "another " + authtest.Password})
	if mail.To != u.Email || err != nil {
		t.Errorf("mail to %s; reset: %v", mail.To, err)
	}
}

func TestSinkKeepsWhatItAccepted(t *testing.T) {
	sink := authtest.NewSink(t)
	post := func(body string) int {
		r, err := sink.Client().Post(sink.URL, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	sink.Answer(503)
	if got := post(`{"n":1}`); got != 503 || len(sink.Hooks()) != 0 {
		t.Errorf("a sink that is down answered %d and kept %d", got, len(sink.Hooks()))
	}
	sink.Answer(200)
	post(`{"n":2}`)
	if hooks := sink.Wait(t, 1); string(hooks[0].Body) != `{"n":2}` || hooks[0].Header.Get("Content-Type") != "application/json" {
		t.Errorf("kept %+v", hooks)
	}
}

func ExampleNew() {
	test := func(t *testing.T) {
		site := authtest.New(t)
		server := httptest.NewServer(members(site.Auth))
		defer server.Close()
		client := authtest.SignedIn(t, site.Auth, "member")
		if r, err := client.Get(server.URL); err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("a member was refused: %v, %v", r, err)
		}
	}
	_ = test
}

func ExampleSite_BadTokens() {
	test := func(t *testing.T) {
		site := authtest.New(t)
		for name, token := range site.BadTokens(t) {
			if _, err := site.Auth.Verify(context.Background(), token); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
	_ = test
}

func ExampleSite_LastMail() {
	test := func(t *testing.T) {
		site := authtest.New(t)
		u := authtest.NewUser(t, site.Auth)
		if err := site.Auth.ForgotPassword(t.Context(), jwtauth.Forgot{Login: u.Login}); err != nil {
			t.Fatal(err)
		}
		t.Log("the code is", site.LastMail(t, jwtauth.MailResetCode).Data.Code)
	}
	_ = test
}

func ExampleClock() {
	test := func(t *testing.T) {
		site := authtest.New(t)
		token := authtest.SignIn(t, site.Auth).AccessToken
		site.Clock.Add(2 * time.Hour)
		if _, err := site.Auth.Verify(t.Context(), token); err == nil {
			t.Error("an expired token was accepted")
		}
	}
	_ = test
}

func ExampleNewSink() {
	test := func(t *testing.T) {
		sink := authtest.NewSink(t)
		// … the program sends a webhook to sink.URL …
		for _, hook := range sink.Wait(t, 1) {
			t.Logf("%s", hook.Body)
		}
	}
	_ = test
}
