package jwtauth_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

func TestLoginWithHash(t *testing.T) {
	for _, tc := range []struct {
		name   string
		login  string
		hash   func(alice, root jwtauth.User) string
		change func(*jwtauth.Config)
		before func(*testing.T, *jwtauth.Auth, jwtauth.User)
		want   error
	}{
		{name: "own hash accepted", login: "alice", hash: func(a, _ jwtauth.User) string { return string(a.PasswordHash) }},
		{name: "hash of somebody else refused", login: "alice", hash: func(_, r jwtauth.User) string { return string(r.PasswordHash) }, want: jwtauth.ErrInvalidCredentials},
		{name: "hash of an administrator refused", login: "root", hash: func(_, r jwtauth.User) string { return string(r.PasswordHash) }, want: jwtauth.ErrInvalidCredentials},
		{name: "the password itself refused", login: "alice", hash: func(_, _ jwtauth.User) string { return testPassword }, want: jwtauth.ErrInvalidCredentials},
		{name: "unknown user refused", login: "nobody", hash: func(a, _ jwtauth.User) string { return string(a.PasswordHash) }, want: jwtauth.ErrInvalidCredentials},
		{name: "marker that is no hash refused", login: "marked", hash: func(_, _ jwtauth.User) string { return "*locked by hand*" }, want: jwtauth.ErrInvalidCredentials},
		{name: "missing hash refused", login: "alice", hash: func(_, _ jwtauth.User) string { return "" }, want: jwtauth.ErrMissingFields},
		{name: "disabled account refused", login: "alice", hash: func(a, _ jwtauth.User) string { return string(a.PasswordHash) }, want: jwtauth.ErrAccountDisabled,
			before: func(t *testing.T, a *jwtauth.Auth, u jwtauth.User) {
				if err := a.Disable(bg, u.ID); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := jwtauth.NewMemoryStore()
			a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			alice := register(t, a, "alice").User
			root := must(a.CreateUser(bg, jwtauth.Registration{Username: "root", Email: "root@example.test", Password: testPassword, Roles: []string{"administrator"}}))(t)
			must(store.CreateUser(bg, jwtauth.User{Login: "marked", LoginKey: "marked", PasswordHash: "*locked by hand*"}))(t)
			if tc.before != nil {
				tc.before(t, a, alice)
			}
			g, err := a.DangerouslyLoginWithHash(bg, jwtauth.Credentials{Username: tc.login, Password: tc.hash(alice, root)})
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("DangerouslyLoginWithHash = %v, want %v", err, tc.want)
			}
			if err == nil && g.User.ID != alice.ID {
				t.Errorf("logged %s in", g.User.ID)
			}
		})
	}
}

// Wrong hashes and wrong passwords are one count, also when they come at once.
func TestLoginWithHashIsCounted(t *testing.T) {
	measured := &sink{}
	a := measuredAuth(t, measured)
	alice := register(t, a, "alice").User
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, _ = a.DangerouslyLoginWithHash(bg, jwtauth.Credentials{Username: "alice", Password: "wrong"})
		})
	}
	wg.Wait()
	if _, err := a.Login(bg, jwtauth.Credentials{Username: "alice", Password: testPassword}); jwtauth.Reason(err) != jwtauth.ReasonLocked {
		t.Errorf("after 20 wrong hashes Login = %v", err)
	}
	if _, err := a.DangerouslyLoginWithHash(bg, jwtauth.Credentials{Username: "alice", Password: string(alice.PasswordHash)}); jwtauth.Reason(err) != jwtauth.ReasonLocked {
		t.Errorf("after 20 wrong hashes the right one = %v", err)
	}
	if err := a.Close(bg); err != nil { // with the last of the measurements
		t.Error(err)
	}
	measured.want(t, 5, "jwtauth.login.duration jwtauth.event=login error.type=invalid_credentials")
	measured.want(t, 17, "jwtauth.lockout.hits")
}
