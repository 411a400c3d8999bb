package integration_test

import (
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/internal/integration"
)

// Locks are found by their records, and what the counters say decides.
func TestLocksAreListedWhileTheyLast(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		store := integration.Migrated(t, d.Open(t), d.Flavour)
		site := authtest.New(t, func(cfg *jwtauth.Config) {
			cfg.Store, cfg.StoreTimeout = store, time.Minute
			cfg.Lockout.Account = []jwtauth.LockoutTier{{Failures: 2, Per: time.Minute}, {Failures: 3, Per: time.Hour}}
		})
		ids := map[string]string{}
		for _, name := range []string{"ada", "bob"} {
			u, err := site.Auth.CreateUser(t.Context(), jwtauth.Registration{Username: name, Email: name + "@example.test", Password: authtest.Password})
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = u.ID
		}
		miss := func(name string, times int) {
			t.Helper()
			for range times {
				if _, err := site.Auth.Login(t.Context(), jwtauth.Credentials{Login: name, Password: "wrong"}); jwtauth.Code(err) != "invalid_credentials" {
					t.Fatal(err)
				}
			}
		}
		want := func(when string, names ...string) {
			t.Helper()
			list, _, err := site.Auth.Locks(t.Context(), jwtauth.LockQuery{})
			if err != nil || len(list) != len(names) {
				t.Fatalf("%s: locked are %+v, %v", when, list, err)
			}
			for i, name := range names {
				if list[i].UserID != ids[name] {
					t.Errorf("%s: locked are %+v", when, list)
				}
			}
		}
		want("at first")
		miss("ada", 2)
		site.Clock.Add(time.Second)
		miss("bob", 3)
		want("after wrong passwords", "bob", "ada")
		if err := site.Auth.Unlock(t.Context(), ids["bob"]); err != nil {
			t.Fatal(err)
		}
		want("after an unlock", "ada")
		site.Clock.Add(time.Minute)
		want("after the end of a lock")
		miss("ada", 1)
		want("in the next tier", "ada")
		if lock, locked, err := site.Auth.LockOf(t.Context(), ids["ada"]); err != nil || !locked || !lock.Until.Equal(authtest.Epoch.Add(time.Hour)) {
			t.Errorf("the lock is %+v, %v, %v", lock, locked, err)
		}
	})
}
