package jwtauth_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// What the service offers for protocols other than the native one.

func TestRefreshExpired(t *testing.T) {
	for _, tc := range []struct {
		name   string
		after  time.Duration
		within time.Duration
		happen func(*testing.T, *jwtauth.Auth, *jwtauth.Grant)
		want   error
	}{
		{name: "alive accepted"},
		{name: "expired within the window accepted", after: 2*time.Hour - time.Second, within: time.Hour},
		{name: "expired before the window refused", after: 2 * time.Hour, within: time.Hour, want: jwtauth.ErrInvalidToken},
		{name: "negative window is none", after: time.Hour, within: -time.Hour, want: jwtauth.ErrInvalidToken},
		{name: "session that is over refused", after: 31 * 24 * time.Hour, within: 365 * 24 * time.Hour, want: jwtauth.ErrInvalidRefreshToken},
		{name: "revoked refused", after: time.Minute, want: jwtauth.ErrInvalidToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) { ok(t, a.Revoke(bg, g.AccessToken)) }},
		{name: "revoked long ago refused", after: 5 * 24 * time.Hour, within: 30 * 24 * time.Hour, want: jwtauth.ErrInvalidRefreshToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) { ok(t, a.Revoke(bg, g.RefreshToken)) }},
		{name: "password changed long ago refused", after: 5 * 24 * time.Hour, within: 30 * 24 * time.Hour, want: jwtauth.ErrInvalidRefreshToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) {
				ok(t, a.ChangePassword(bg, jwtauth.PasswordChange{UserID: g.User.ID, Current: testPassword, New: "a wholly different phrase"}))
			}},
		{name: "refreshed long ago refused", after: 4 * time.Hour, within: 24 * time.Hour, want: jwtauth.ErrInvalidRefreshToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) { must(a.Refresh(bg, g.AccessToken))(t) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := &forgetful{RevocationStore: jwtauth.NewMemoryStore()}
			a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Revocations = store })
			g := register(t, a, "alice")
			if tc.happen != nil {
				tc.happen(t, a, g)
			}
			c.Add(tc.after)
			store.forgot = tc.after > 3*time.Hour
			next, err := a.RefreshExpired(bg, g.AccessToken, tc.within)
			switch {
			case tc.want == nil && (err != nil || next.RefreshToken != "" || next.AccessToken == g.AccessToken):
				t.Errorf("RefreshExpired = %v, %v", next, err)
			case tc.want != nil && !errors.Is(err, tc.want):
				t.Errorf("RefreshExpired = %v, want %v", err, tc.want)
			}
		})
	}
}

// forgetful is a store that has dropped its entries, as it may once the tokens
// concerned have expired.
type forgetful struct {
	jwtauth.RevocationStore
	forgot bool
}

func (f *forgetful) Revoked(ctx context.Context, ref jwtauth.TokenRef) (bool, error) {
	if f.forgot {
		return false, nil
	}
	return f.RevocationStore.Revoked(ctx, ref)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResetPasswordWithToken(t *testing.T) {
	const next = "a wholly different phrase"
	for _, tc := range []struct {
		name   string
		reset  jwtauth.PasswordReset
		change func(*jwtauth.Config)
		happen func(*testing.T, *jwtauth.Auth, *jwtauth.Grant)
		want   error
	}{
		{name: "own address accepted", reset: jwtauth.PasswordReset{Login: "ALICE@example.test", Password: next}},
		{name: "own name accepted", reset: jwtauth.PasswordReset{Login: "alice", Password: next}},
		{name: "somebody else refused", reset: jwtauth.PasswordReset{Login: "bob@example.test", Password: next}, want: jwtauth.ErrForbidden},
		{name: "nobody refused as somebody else", reset: jwtauth.PasswordReset{Login: "x@example.test", Password: next}, want: jwtauth.ErrForbidden},
		{name: "text that is no name refused", reset: jwtauth.PasswordReset{Login: "a b", Password: next}, want: jwtauth.ErrForbidden},
		{name: "weak password refused", reset: jwtauth.PasswordReset{Login: "alice", Password: "short"}, want: jwtauth.ErrWeakPassword},
		{name: "missing name refused", reset: jwtauth.PasswordReset{Password: next}, want: jwtauth.ErrMissingFields},
		{name: "forged token refused", reset: jwtauth.PasswordReset{Login: "alice", Password: next, Token: "a.b.c"}, want: jwtauth.ErrInvalidToken},
		{name: "switched off refused", reset: jwtauth.PasswordReset{Login: "alice", Password: next}, want: jwtauth.ErrForbidden,
			change: func(cfg *jwtauth.Config) { cfg.Recovery.Off = true }},
		{name: "token from before a change refused", reset: jwtauth.PasswordReset{Login: "alice", Password: next}, want: jwtauth.ErrInvalidToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) { ok(t, a.SetRoles(bg, g.User.ID, "subscriber")) }},
		{name: "token of a deleted account refused", reset: jwtauth.PasswordReset{Login: "alice", Password: next}, want: jwtauth.ErrInvalidToken,
			happen: func(t *testing.T, a *jwtauth.Auth, g *jwtauth.Grant) { ok(t, a.DeleteUser(bg, g.User.ID)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			change := tc.change
			if change == nil {
				change = func(*jwtauth.Config) {}
			}
			a, _ := newAuth(t, change)
			g := register(t, a, "alice")
			register(t, a, "bob")
			if tc.happen != nil {
				tc.happen(t, a, g)
			}
			if tc.reset.Token == "" {
				tc.reset.Token = g.AccessToken
			}
			if err := a.ResetPasswordWithToken(bg, tc.reset); jwtauth.Code(err) != jwtauth.Code(tc.want) {
				t.Fatalf("ResetPasswordWithToken = %v, want %v", err, tc.want)
			}
			_, errNew := a.Login(bg, jwtauth.Credentials{Username: "alice", Password: next})
			_, errToken := a.Verify(bg, g.AccessToken)
			if changed := tc.want == nil; (errNew == nil) != changed || changed && errToken == nil {
				t.Errorf("new password: %v; old token: %v", errNew, errToken)
			}
		})
	}
}

// A code that the host delivers itself comes for accounts alone, and without a mail.
func TestForgotDelivers(t *testing.T) {
	a, _, box := newMailAuth(t)
	register(t, a, "alice")
	type delivery struct {
		user jwtauth.User
		code string
	}
	got := make(chan delivery, 2)
	deliver := func(_ context.Context, u jwtauth.User, code string) { got <- delivery{u, code} }
	for _, login := range []string{"nobody", "alice"} {
		ok(t, a.ForgotPassword(bg, jwtauth.Forgot{Login: login, Deliver: deliver}))
	}
	d := <-got
	if d.user.Login != "alice" || d.user.PasswordHash != "" || len(d.code) != 6 || len(got) != 0 {
		t.Errorf("delivered %q to %+v", d.code, d.user)
	}
	ok(t, a.Close(bg))
	if n := len(box.Messages()); n != 0 {
		t.Errorf("%d mails besides", n)
	}
	ok(t, a.ResetPassword(bg, jwtauth.PasswordReset{Login: "alice", Password: "a wholly different phrase", Code: d.code}))
	// One that panics is the host's trouble, not the caller's.
	ok(t, a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice", Deliver: func(context.Context, jwtauth.User, string) { defer close(got); panic("no signal") }}))
	<-got
}

func TestRegistrationMeta(t *testing.T) {
	many := map[string]string{}
	for i := range 65 {
		many["a"+strings.Repeat("x", i)] = "1"
	}
	for _, tc := range []struct {
		name string
		meta map[string]string
		want error
	}{
		{"plain entry kept", map[string]string{"phone": "12\n3"}, nil},
		{"field of the profile refused", map[string]string{"first_name": "x"}, jwtauth.ErrInvalidInput},
		{"flag of the profile refused", map[string]string{"use_ssl": "maybe"}, jwtauth.ErrInvalidInput},
		{"name that is none refused", map[string]string{"a b": "x"}, jwtauth.ErrInvalidInput},
		{"value that is too long refused", map[string]string{"a": strings.Repeat("x", 2049)}, jwtauth.ErrInvalidInput},
		{"control characters refused", map[string]string{"a": "\x00"}, jwtauth.ErrInvalidInput},
		{"too many refused", many, jwtauth.ErrInvalidInput},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t)
			g, err := a.Register(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword, Meta: tc.meta})
			if jwtauth.Code(err) != jwtauth.Code(tc.want) {
				t.Fatalf("Register = %v, want %v", err, tc.want)
			}
			if err == nil && g.User.Meta["phone"] != tc.meta["phone"] {
				t.Errorf("kept %v", g.User.Meta)
			}
		})
	}
}

func TestRegistrationWithoutLogin(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.EmailDomains = []string{"example.test"} })
	g := must(a.Register(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword, NoLogin: true}))(t)
	if g.User.Login != "alice" || g.AccessToken != "" || g.RefreshToken != "" {
		t.Errorf("granted %+v", g)
	}
	if list := must(a.Sessions(bg, g.User.ID))(t); len(list) != 0 {
		t.Errorf("%d sessions", len(list))
	}
	_, err := a.Register(bg, jwtauth.Registration{Email: "bob@elsewhere.test", Password: testPassword, NoLogin: true})
	if !errors.Is(err, jwtauth.ErrInvalidInput) || jwtauth.Reason(err) != jwtauth.ReasonDomain {
		t.Errorf("another domain: %v, reason %q", err, jwtauth.Reason(err))
	}
}

func TestAllowedTarget(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.AutoLogin.Origins = []string{"https://app.example.test"} })
	for target, want := range map[string]bool{"https://app.example.test/x?y#z": true, "https://app.example.test.evil.test/": false, "/x": false, "": false} {
		if got := a.AllowedTarget(target); got != want {
			t.Errorf("AllowedTarget(%q) = %v", target, got)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.CORS.Origins = []string{"https://app.example.test"} })
	for _, tc := range []struct {
		method, site, origin string
		status               int
	}{
		{"POST", "", "", 200}, {"POST", "same-origin", "", 200}, {"POST", "cross-site", "https://evil.test", 403},
		{"POST", "cross-site", "https://app.example.test", 200}, {"GET", "cross-site", "", 200},
	} {
		r := httptest.NewRequest(tc.method, "/", nil)
		for name, value := range map[string]string{"Sec-Fetch-Site": tc.site, "Origin": tc.origin} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if got := jwtauth.Status(a.CheckOrigin(r)); got != tc.status {
			t.Errorf("%+v: %d", tc, got)
		}
	}
}

func TestProtectionDemands(t *testing.T) {
	p := must(jwtauth.NewProtection(jwtauth.ProtectRule{Pattern: "/open", Public: true}, jwtauth.ProtectRule{Pattern: "/admin/", Roles: []string{"administrator"}}))(t)
	for path, want := range map[string]struct {
		public bool
		roles  []string
	}{"/open": {true, nil}, "/admin/x": {false, []string{"administrator"}}, "/other": {false, nil}} {
		if public, roles := p.Demands(httptest.NewRequest("GET", path, nil)); public != want.public || !slices.Equal(roles, want.roles) {
			t.Errorf("%s demands %v %v", path, public, roles)
		}
	}
	if _, err := jwtauth.NewProtection(jwtauth.ProtectRule{Pattern: "x y z"}); err == nil {
		t.Error("a bad pattern is accepted")
	}
}

// A token that is found later, or was kept alive by refreshing, is no proof of
// who is there: a reset by token needs a login a short while ago.
func TestResetByTokenNeedsARecentLogin(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "alice")
	reset := func(token string) error {
		return a.ResetPasswordWithToken(bg, jwtauth.PasswordReset{Login: "alice", Password: "a wholly different phrase", Token: token})
	}
	c.Add(15*time.Minute + time.Second)
	wantErr(t, "token of an older login", reset(g.AccessToken), jwtauth.ErrReauthRequired)
	fresh := must(a.Refresh(bg, g.RefreshToken))(t)
	wantErr(t, "token that was refreshed", reset(fresh.AccessToken), jwtauth.ErrReauthRequired)
	ok(t, reset(login(t, a, "alice").AccessToken))
}
