package jwtauth_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var siteSecret = []byte("a4c1f27e90b35d6688e10fd2c7395ab4")

const remoteIssuer = "https://a.example.test"

var remoteKey = must2(jwtauth.GenerateKey("ES256"))

func must2(k jwtauth.Key, err error) jwtauth.Key {
	if err != nil {
		panic(err)
	}
	return k
}

// remote is a connected site: an Auth of its own, with its own users and keys.
type remote struct {
	auth  *jwtauth.Auth
	clock *clock
}

func newRemote(t testing.TB, change ...func(*jwtauth.Config)) remote {
	t.Helper()
	a, c := newAuth(t, append([]func(*jwtauth.Config){func(cfg *jwtauth.Config) {
		cfg.Issuer, cfg.Keys = remoteIssuer, must(jwtauth.NewKeySet(remoteKey))(t)
	}}, change...)...)
	return remote{a, c}
}

func ssoConfig(t testing.TB) jwtauth.SSOConfig {
	t.Helper()
	pem := must(remoteKey.PublicPEM())(t)
	return jwtauth.SSOConfig{Sites: []jwtauth.SSOSite{{Key: "site-a", Secret: siteSecret, Issuer: remoteIssuer,
		Keys:   must(jwtauth.NewVerifyKeySet(must(jwtauth.ES256(remoteKey.ID(), pem))(t)))(t),
		Create: true, Roles: map[string]string{"editor": "author"}}}}
}

// exchangeFor is a signed exchange of a fresh user of the remote site.
func exchangeFor(t testing.TB, r remote, name string) jwtauth.Exchange {
	t.Helper()
	u, err := r.auth.UserByLogin(bg, "remote"+name)
	if errors.Is(err, jwtauth.ErrNotFound) {
		u = register(t, r.auth, "remote"+name).User
	}
	token := must(r.auth.SSOToken(bg, u.ID, testIssuer))(t)
	return jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", siteSecret, token)}
}

func TestSignatureVectors(t *testing.T) {
	var file struct {
		Key     string `json:"key_hex"`
		Vectors []struct {
			ID     string
			Fields struct {
				SiteKey string `json:"site_key"`
				Token   string
			}
			Signature, Expect string
		}
	}
	readVectors(t, "web/sso_vectors.json", &file)
	key := must(hex.DecodeString(file.Key))(t)
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			// Only the site that is configured has a key, so only its
			// signatures over these very fields count.
			ok := v.Fields.SiteKey == "site-a" && jwtauth.SignExchange(v.Fields.SiteKey, key, v.Fields.Token) == v.Signature
			if ok != (v.Expect == "accept") {
				t.Errorf("accepted: %v, want %s", ok, v.Expect)
			}
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.SSO = ssoConfig(t)
				cfg.SSO.Sites[0].Secret = key
			})
			_, err := a.ExchangeSSO(bg, jwtauth.Exchange{SiteKey: v.Fields.SiteKey, Token: v.Fields.Token, Signature: v.Signature})
			if err == nil { // "tok" is no token of the site, whoever signed it
				t.Error("exchange accepted")
			}
		})
	}
}

func TestExchange(t *testing.T) {
	cases := []struct {
		name   string
		remote func(cfg *jwtauth.Config)
		local  func(cfg *jwtauth.Config)
		change func(x *jwtauth.Exchange, r remote)
		late   time.Duration
		want   error
	}{
		{name: "signed and fresh accepted"},
		{name: "just before its end accepted", late: time.Minute - time.Second},
		{name: "at its end refused", late: time.Minute, want: jwtauth.ErrInvalidExchange},
		{name: "empty signature refused", change: func(x *jwtauth.Exchange, _ remote) { x.Signature = "" }, want: jwtauth.ErrMissingFields},
		{name: "upper-case signature refused", change: func(x *jwtauth.Exchange, _ remote) {
			x.Signature = "A" + x.Signature[1:]
		}, want: jwtauth.ErrInvalidExchange},
		{name: "unknown site refused", change: func(x *jwtauth.Exchange, _ remote) { x.SiteKey = "site-b" }, want: jwtauth.ErrInvalidExchange},
		{name: "signature of another token refused", change: func(x *jwtauth.Exchange, _ remote) { x.Token += "x" }, want: jwtauth.ErrInvalidExchange},
		{name: "access token of the site refused", change: func(x *jwtauth.Exchange, r remote) {
			g, err := r.auth.Login(bg, jwtauth.Credentials{Login: "remoteu", Password: testPassword})
			if err != nil {
				panic(err)
			}
			x.Token = g.AccessToken
			x.Signature = jwtauth.SignExchange("site-a", siteSecret, x.Token)
		}, want: jwtauth.ErrInvalidExchange},
		{name: "another issuer under the site's key refused", remote: func(cfg *jwtauth.Config) { cfg.Issuer = "https://evil.example.test" }, want: jwtauth.ErrInvalidExchange},
		{name: "another key refused", remote: func(cfg *jwtauth.Config) { cfg.Keys, _ = jwtauth.NewKeySet(must2(jwtauth.GenerateKey("ES256"))) }, want: jwtauth.ErrInvalidExchange},
		{name: "for another site refused", local: func(cfg *jwtauth.Config) { cfg.SSO.Sites[0].Audience = []string{"https://else.example.test"} }, want: jwtauth.ErrInvalidExchange},
		{name: "secret retired refused", local: func(cfg *jwtauth.Config) { cfg.SSO.Sites[0].Secret = []byte("0d9b7c52a8e643f1b26f08d4c15e97a3") }, want: jwtauth.ErrInvalidExchange},
		{name: "secret during its overlap accepted", local: func(cfg *jwtauth.Config) {
			cfg.SSO.Sites[0].OldSecret = siteSecret
			cfg.SSO.Sites[0].Secret = []byte("0d9b7c52a8e643f1b26f08d4c15e97a3")
		}},
		{name: "user without an account refused where none are made", local: func(cfg *jwtauth.Config) { cfg.SSO.Sites[0].Create = false }, want: jwtauth.ErrInvalidExchange},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			far := newRemote(t, func(cfg *jwtauth.Config) {
				if tc.remote != nil {
					tc.remote(cfg)
				}
			})
			a, c := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.SSO = ssoConfig(t)
				if tc.local != nil {
					tc.local(cfg)
				}
			})
			x := exchangeFor(t, far, "u")
			if tc.change != nil {
				tc.change(&x, far)
			}
			c.Add(tc.late)
			g, err := a.ExchangeSSO(bg, x)
			if tc.want != nil {
				wantErr(t, "ExchangeSSO", err, tc.want)
				return
			}
			if _, err := a.Verify(bg, must(g, err)(t).AccessToken); err != nil {
				t.Error(err)
			}
			_, err = a.ExchangeSSO(bg, x)
			wantErr(t, "the same again", err, jwtauth.ErrInvalidExchange)
		})
	}
}

func TestExchangeFindsTheSameAccountAgain(t *testing.T) {
	far := newRemote(t)
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.SSO = ssoConfig(t) })
	first := must(a.ExchangeSSO(bg, exchangeFor(t, far, "u")))(t)
	again := must(a.ExchangeSSO(bg, exchangeFor(t, far, "u")))(t)
	other := must(a.ExchangeSSO(bg, exchangeFor(t, far, "v")))(t)
	if first.User.ID != again.User.ID || first.User.ID == other.User.ID {
		t.Errorf("accounts %s, %s and %s", first.User.ID, again.User.ID, other.User.ID)
	}
	if first.User.Login != "remoteu" || first.User.EmailKey != "" {
		t.Errorf("made %q with the address %q, which nobody has verified", first.User.Login, first.User.EmailKey)
	}
	if err := a.Disable(bg, first.User.ID); err != nil {
		t.Fatal(err)
	}
	_, err := a.ExchangeSSO(bg, exchangeFor(t, far, "u"))
	wantErr(t, "disabled here", err, jwtauth.ErrAccountDisabled)
	if err := a.DeleteUser(bg, other.User.ID); err != nil {
		t.Fatal(err)
	}
	if back := must(a.ExchangeSSO(bg, exchangeFor(t, far, "v")))(t); back.User.ID == other.User.ID {
		t.Error("a deleted account came back")
	}
}

func TestExchangeNeverTakesOverAnAccount(t *testing.T) {
	far := newRemote(t)
	for _, verified := range []bool{false, true} {
		u := must(far.auth.UserByLogin(bg, register(t, far.auth, map[bool]string{false: "mallory", true: "carol"}[verified]).User.Login))(t)
		_ = u
	}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.SSO = ssoConfig(t)
		cfg.SSO.Sites[0].LinkVerifiedEmail = true
	})
	local := register(t, a, "mallory").User // the same name and address as the remote one
	u := must(far.auth.UserByLogin(bg, "mallory"))(t)
	token := must(far.auth.SSOToken(bg, u.ID, testIssuer))(t)
	g := must(a.ExchangeSSO(bg, jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", siteSecret, token)}))(t)
	if g.User.ID == local.ID || g.User.EmailKey == local.EmailKey || g.User.LoginKey == local.LoginKey {
		t.Errorf("an address that nobody has verified led to account %s (%s)", g.User.ID, g.User.Login)
	}
}

func TestLinkingByVerifiedAddress(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		remoteOK, localOK     bool
		optedIn, admin, links bool
	}{
		{"both verified and opted in: linked", true, true, true, false, true},
		{"not opted in: not linked", true, true, false, false, false},
		{"remote not verified: not linked", false, true, true, false, false},
		{"local not verified: not linked", true, false, true, false, false},
		{"privileged account: never linked", true, true, true, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			farStore, store := jwtauth.NewMemoryStore(), jwtauth.NewMemoryStore()
			far := newRemote(t, func(cfg *jwtauth.Config) { cfg.Store = farStore })
			a, _ := newAuth(t, func(cfg *jwtauth.Config) {
				cfg.Store, cfg.SSO = store, ssoConfig(t)
				cfg.SSO.Sites[0].LinkVerifiedEmail = tc.optedIn
			})
			verify := func(s *jwtauth.MemoryStore, u jwtauth.User, verified, admin bool) jwtauth.User {
				u = must(s.UserByID(bg, u.ID))(t)
				u.EmailVerified = verified
				if admin {
					u.Roles = []string{"administrator"}
				}
				return must(s.UpdateUser(bg, u))(t)
			}
			there := verify(farStore, register(t, far.auth, "dora").User, tc.remoteOK, false)
			here := verify(store, register(t, a, "dora").User, tc.localOK, tc.admin)
			token := must(far.auth.SSOToken(bg, there.ID, testIssuer))(t)
			g := must(a.ExchangeSSO(bg, jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", siteSecret, token)}))(t)
			if linked := g.User.ID == here.ID; linked != tc.links {
				t.Errorf("linked: %v, want %v", linked, tc.links)
			}
		})
	}
}

func TestRemoteRolesComeOnlyThroughTheMap(t *testing.T) {
	far := newRemote(t)
	u := register(t, far.auth, "eve").User
	if err := far.auth.SetRoles(bg, u.ID, "administrator", "editor"); err != nil {
		t.Fatal(err)
	}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.SSO = ssoConfig(t) })
	token := must(far.auth.SSOToken(bg, u.ID, testIssuer))(t)
	g := must(a.ExchangeSSO(bg, jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", siteSecret, token)}))(t)
	if len(g.User.Roles) != 1 || g.User.Roles[0] != "author" {
		t.Errorf("roles = %v, want author alone", g.User.Roles)
	}
}

func TestExchangeOverHTTP(t *testing.T) {
	far := newRemote(t)
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.SSO = ssoConfig(t) })
	h := a.Handler()
	x := exchangeFor(t, far, "u")
	body := object{"site_key": x.SiteKey, "token": x.Token, "signature": x.Signature}
	wantMembers(t, post(t, h, "/sso/exchange", body), 200, "token:string", "refresh_token:string", "user.ID:number", "jti:string")
	wantError(t, post(t, h, "/sso/exchange", body), 401, "invalid_sso_exchange")
	x = exchangeFor(t, far, "u")
	headers := http.Header{"X-Sso-Site-Key": {x.SiteKey}, "X-Sso-Signature": {x.Signature}, "Authorization": {"Bearer " + x.Token}}
	r := send(t, h, request{method: "POST", path: "/sso/exchange", header: headers, body: object{"token": x.Token}})
	wantError(t, r, 400, "rest_invalid_param")
	if r := send(t, h, request{method: "POST", path: "/sso/exchange", header: headers}); r.status != 200 {
		t.Errorf("by headers: %d %s", r.status, r.text)
	}
	x = exchangeFor(t, far, "u")
	partly := http.Header{"X-Sso-Site-Key": {x.SiteKey}, "Content-Type": {"application/json"}}
	r = send(t, h, request{method: "POST", path: "/sso/exchange", header: partly, body: object{"token": x.Token, "signature": x.Signature}})
	wantError(t, r, 400, "rest_invalid_param")
}

func TestNonceStoreFailingRefusesTheExchange(t *testing.T) {
	far := newRemote(t)
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.SSO = ssoConfig(t)
		cfg.Codes = noClaims{jwtauth.NewMemoryStore()}
	})
	_, err := a.ExchangeSSO(bg, exchangeFor(t, far, "u"))
	wantErr(t, "exchange", err, jwtauth.ErrUnavailable)
}

type noClaims struct{ jwtauth.CodeStore }

func (noClaims) ClaimOnce(context.Context, string, time.Time, time.Time) (bool, error) {
	return false, errDisk
}

func TestSSOConfigRefused(t *testing.T) {
	good := ssoConfig(t).Sites[0]
	cases := map[string]func(s *jwtauth.SSOSite){
		"short secret":            func(s *jwtauth.SSOSite) { s.Secret = []byte("short") },
		"no secret":               func(s *jwtauth.SSOSite) { s.Secret = nil },
		"secret of the Auth":      func(s *jwtauth.SSOSite) { s.Secret = testSecret },
		"no issuer":               func(s *jwtauth.SSOSite) { s.Issuer = "" },
		"no keys":                 func(s *jwtauth.SSOSite) { s.Keys = nil },
		"no key":                  func(s *jwtauth.SSOSite) { s.Key = "" },
		"key with a space":        func(s *jwtauth.SSOSite) { s.Key = "site a" },
		"role that is not a name": func(s *jwtauth.SSOSite) { s.Roles = map[string]string{"a": "b c"} },
	}
	for name, change := range cases {
		t.Run(name+" refused", func(t *testing.T) {
			cfg := testConfig(t)
			site := good
			change(&site)
			cfg.SSO.Sites = []jwtauth.SSOSite{site}
			if _, err := jwtauth.New(cfg); err == nil {
				t.Error("New accepted it")
			}
		})
	}
	t.Run("two sites with one secret refused", func(t *testing.T) {
		cfg := testConfig(t)
		other := good
		other.Key = "site-b"
		cfg.SSO.Sites = []jwtauth.SSOSite{good, other}
		if _, err := jwtauth.New(cfg); err == nil {
			t.Error("New accepted it")
		}
	})
}
