package jwtauth_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// Every kind of token and code, offered to every entry that takes one: only its
// own entry accepts it (RFC 8725, section 3.12).
func TestOneKindIsNeverAcceptedAsAnother(t *testing.T) {
	a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) {
		cfg.SSO = ssoConfig(t)
		cfg.Verification.URL = "https://app.example.test/verify"
		cfg.AutoLogin.AcceptAccessTokens = false
	})
	far := newRemote(t)
	entries := map[string]func(secret string) error{
		"access": func(s string) error { _, err := a.Verify(bg, s); return err },
		"refresh": func(s string) error {
			_, err := a.Refresh(bg, s)
			return err
		},
		"reset link":   func(s string) error { return reset(a, "erin", s, "") },
		"reset code":   func(s string) error { return reset(a, "frank", "", s) },
		"verification": func(s string) error { return a.VerifyEmail(bg, jwtauth.EmailVerification{Login: "erin", Token: s}) },
		"SSO": func(s string) error {
			_, err := a.ExchangeSSO(bg, jwtauth.Exchange{SiteKey: "site-a", Token: s, Signature: jwtauth.SignExchange("site-a", siteSecret, s)})
			return err
		},
		"auto-login": func(s string) error { _, _, err := a.AutoLogin(bg, s, ""); return err },
	}
	register(t, a, "erin")
	register(t, a, "frank")
	make := map[string]func() string{
		"access":     func() string { return login(t, a, "erin").AccessToken },
		"refresh":    func() string { return login(t, a, "erin").RefreshToken },
		"reset link": func() string { return forget(t, a, box, "erin", jwtauth.DeliveryLink) },
		"reset code": func() string { return forget(t, a, box, "frank", jwtauth.DeliveryCode) },
		"verification": func() string {
			if err := a.ResendVerification(bg, "erin"); err != nil {
				t.Fatal(err)
			}
			m, _ := box.last(t, a, jwtauth.MailVerify)
			return must(url.Parse(m.Data.Link))(t).Query().Get("token")
		},
		"SSO":          func() string { return exchangeFor(t, far, "u").Token },
		"auto-login":   func() string { return must(a.AutoLoginToken(bg, userOf(t, a, "erin").ID))(t) },
		"device":       func() string { return string(login(t, a, "erin").DeviceToken) },
		"own SSO":      func() string { return must(a.SSOToken(bg, userOf(t, a, "erin").ID, testIssuer))(t) },
		"session id":   func() string { return login(t, a, "erin").Session.ID },
		"token id":     func() string { return login(t, a, "erin").TokenID },
		"empty":        func() string { return "" },
		"secret as is": func() string { return string(testSecret) },
	}
	for kind, secret := range make {
		s := secret()
		for entry, accept := range entries {
			if kind == entry || kind == "access" && entry == "refresh" { // HeadlessKey refreshes by access token
				continue
			}
			t.Run(kind+" as "+entry, func(t *testing.T) {
				err := accept(s)
				if err == nil {
					t.Fatal("accepted")
				}
				if jwtauth.Status(err) >= 500 || errors.Is(err, jwtauth.ErrWeakPassword) {
					t.Errorf("refused for another reason: %v", err)
				}
			})
		}
	}
}
