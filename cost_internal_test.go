package jwtauth

// The number of hashes is counted inside the package: outside there is only
// their duration, which is no test.

import (
	"context"
	"log/slog"
	"testing"
)

func TestUnknownUserCostsTheSameHashesAsAWrongPassword(t *testing.T) {
	key, err := GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	store := NewMemoryStore()
	a, err := New(Config{Issuer: "https://auth.example.test", Keys: keys, Secret: []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"), Store: store,
		Logger: slog.New(slog.DiscardHandler), Lockout: LockoutConfig{Disabled: true},
		Passwords: PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	register := func(name string) User {
		u, err := a.CreateUser(ctx, Registration{Username: name, Email: name + "@example.test", Password: "a long pass phrase"})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	register("alice")
	if err := a.Disable(ctx, register("gone").ID); err != nil {
		t.Fatal(err)
	}
	empty := register("empty")
	empty.PasswordHash = ""
	if _, err := store.UpdateUser(ctx, empty); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "nobody", "gone", "empty", "alice@example.test", "nobody@example.test", "not\u202ea name"} {
		before := a.passwords.computed()
		if _, err := a.Login(ctx, Credentials{Login: name, Password: "wrong"}); Code(err) != ErrInvalidCredentials.Code {
			t.Errorf("%q: %v", name, err)
		}
		if n := a.passwords.computed() - before; n != 1 {
			t.Errorf("%q cost %d hashes, want 1", name, n)
		}
	}
}
