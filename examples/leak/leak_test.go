package leak_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/examples/leak"
)

// refused fails unless a token is no longer accepted, for that reason.
func refused(t *testing.T, auth *jwtauth.Auth, token, reason string) {
	t.Helper()
	_, err := auth.Verify(t.Context(), token)
	if !errors.Is(err, jwtauth.ErrInvalidToken) || jwtauth.Reason(err) != reason {
		t.Errorf("the token: %v (%s), want it refused: %s", err, jwtauth.Reason(err), reason)
	}
}

func TestTokensOfLeakedKeyRefusedAndSessionsGoOn(t *testing.T) {
	site := authtest.New(t)
	g := authtest.SignIn(t, site.Auth)
	if err := leak.ReplaceKey(site.Config.Keys, site.Config.Keys.Keys()[0].ID, "ES256"); err != nil {
		t.Fatal(err)
	}
	refused(t, site.Auth, g.AccessToken, jwtauth.ReasonKey)
	next, err := site.Auth.Refresh(t.Context(), g.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Auth.Verify(t.Context(), next.AccessToken); err != nil {
		t.Error(err)
	}
}

func TestEndAllSessions(t *testing.T) {
	site := authtest.New(t)
	a, b := authtest.SignIn(t, site.Auth), authtest.SignIn(t, site.Auth)
	if n, err := leak.EndAllSessions(t.Context(), site.Auth); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for _, g := range []*jwtauth.Grant{a, b} {
		refused(t, site.Auth, g.AccessToken, jwtauth.ReasonRevoked)
		if _, err := site.Auth.Refresh(t.Context(), g.RefreshToken); !errors.Is(err, jwtauth.ErrInvalidRefreshToken) {
			t.Errorf("refresh: %v", err)
		}
	}
}

// A new Secret that does not accept the old one ends refreshes and links, leaves
// access tokens alone, and stops the sealing of the trail until it is adopted.
func TestReplacedSecret(t *testing.T) {
	site := authtest.New(t)
	g := authtest.SignIn(t, site.Auth)
	before, err := site.Auth.VerifyTrail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg := site.Config
	cfg.Secret, cfg.OldSecrets = []byte(rand.Text()+rand.Text()), nil
	auth, err := jwtauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Refresh(t.Context(), g.RefreshToken); !errors.Is(err, jwtauth.ErrInvalidRefreshToken) {
		t.Errorf("refresh: %v", err)
	}
	if _, err := auth.Verify(t.Context(), g.AccessToken); err != nil {
		t.Errorf("an access token: %v", err)
	}
	if _, err := auth.VerifyTrail(t.Context()); !errors.Is(err, jwtauth.ErrTrailBroken) {
		t.Errorf("VerifyTrail before AdoptTrail: %v", err)
	}
	if err := auth.AdoptTrail(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.VerifyTrail(t.Context(), before.Head); err != nil {
		t.Errorf("VerifyTrail after AdoptTrail: %v", err)
	}
}

func TestTakeBack(t *testing.T) {
	site := authtest.New(t)
	g := authtest.SignIn(t, site.Auth)
	if err := leak.TakeBack(t.Context(), site.Auth, g.User.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, site.Auth, g.AccessToken, jwtauth.ReasonRevoked)
	_, err := site.Auth.Login(t.Context(), jwtauth.Credentials{Login: g.User.Login, Password: authtest.Password})
	if !errors.Is(err, jwtauth.ErrInvalidCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if err := site.Auth.ForgotPassword(t.Context(), jwtauth.Forgot{Login: g.User.Login}); err != nil {
		t.Fatal(err)
	}
	if kind := site.LastMail(t, jwtauth.MailResetCode).Kind; kind == "" {
		t.Error("the owner gets no mail")
	}
	found, err := site.Auth.Events(t.Context(), jwtauth.EventFilter{UserID: g.User.ID, Name: jwtauth.EventReset})
	if err != nil || len(found) != 1 {
		t.Errorf("the trail has %v, %v", found, err)
	}
}
