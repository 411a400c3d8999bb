package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// from is a context of a caller at an address.
func from(address string, device ...jwtauth.Secret) context.Context {
	c := jwtauth.Client{IP: netip.MustParseAddr(address)}
	if len(device) > 0 {
		c.DeviceToken = device[0]
	}
	return jwtauth.WithClient(context.Background(), c)
}

func tryLogin(ctx context.Context, a *jwtauth.Auth, login, password string) error {
	_, err := a.Login(ctx, jwtauth.Credentials{Login: login, Password: password})
	return err
}

// countingVerifier counts the passwords that are compared.
type countingVerifier struct{ n atomic.Int64 }

func (v *countingVerifier) Recognizes(hash string) bool {
	return len(hash) > 7 && hash[:7] == "$count$"
}

func (v *countingVerifier) Verify(_, password string) (bool, error) {
	v.n.Add(1)
	return password == testPassword, nil
}

func TestParallelGuessesShareTheThreshold(t *testing.T) {
	v := &countingVerifier{}
	store := jwtauth.NewMemoryStore()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Store = store
		cfg.Passwords.Verifiers = []jwtauth.PasswordVerifier{v}
	})
	u := must(store.UserByID(bg, register(t, a, "alice").User.ID))(t)
	u.PasswordHash = "$count$correct-horse"
	must(store.UpdateUser(bg, u))(t)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			name := []string{"alice", "ALICE", "alice@example.test", "Alice@Example.TEST"}[i%4]
			ctx := from(netip.AddrFrom4([4]byte{198, 51, byte(i / 20), byte(i)}).String())
			if err := tryLogin(ctx, a, name, "wrong"); !errors.Is(err, jwtauth.ErrInvalidCredentials) {
				t.Errorf("guess: %v", err)
			}
		})
	}
	wg.Wait()
	if n := v.n.Load(); n != 5 {
		t.Errorf("%d of 200 guesses were compared, want 5", n)
	}
}

func TestLockoutGrowsAndEnds(t *testing.T) {
	a, c := newAuth(t)
	register(t, a, "alice")
	stranger := from("203.0.113.9")
	wrong := func(n int) {
		for range n {
			wantErr(t, "wrong password", tryLogin(stranger, a, "alice", "wrong"), jwtauth.ErrInvalidCredentials)
		}
	}
	right := func(ok bool) {
		t.Helper()
		if err := tryLogin(stranger, a, "alice", testPassword); (err == nil) != ok {
			t.Errorf("right password at %v: %v, want success %v", c.Now().Sub(epoch), err, ok)
		}
	}
	wrong(4)
	right(true) // takes only its own try back
	end(t, a, "alice")
	wrong(1)
	right(false) // five in a minute
	c.Add(time.Minute)
	right(true)
	end(t, a, "alice")
	wrong(5)
	c.Add(time.Minute)
	right(false) // ten in ten minutes
	c.Add(8 * time.Minute)
	right(true)
}

// end signs an account out everywhere, so that no address is known.
func end(t *testing.T, a *jwtauth.Auth, name string) {
	t.Helper()
	if err := a.RevokeUser(bg, userOf(t, a, name).ID); err != nil {
		t.Fatal(err)
	}
}

func TestOneBudgetForEveryPath(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Accounts.ReauthToDelete = true })
	g := register(t, a, "alice")
	ctx := from("203.0.113.9")
	paths := []func() error{
		func() error { return tryLogin(ctx, a, "alice", "wrong") },
		func() error { return tryLogin(ctx, a, "alice@example.test", "wrong") },
		func() error {
			return a.ChangePassword(ctx, jwtauth.PasswordChange{UserID: g.User.ID, Current: "wrong", New: newPassword})
		},
		func() error { return a.DeleteOwnAccount(ctx, g.User.ID, "wrong") },
		func() error { return tryLogin(ctx, a, "ALICE", "wrong") },
	}
	for i, path := range paths {
		wantErr(t, "path "+string(rune('0'+i)), path(), jwtauth.ErrInvalidCredentials)
	}
	wantErr(t, "right password after five paths", tryLogin(ctx, a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
}

func TestOwnerIsNotLockedOut(t *testing.T) {
	flood := func(a *jwtauth.Auth) {
		for i := range 300 {
			_ = tryLogin(from(netip.AddrFrom4([4]byte{198, 51, byte(i / 250), byte(i)}).String()), a, "alice", "wrong")
		}
	}
	t.Run("by the token of the device", func(t *testing.T) {
		a, _ := newAuth(t)
		g := register(t, a, "alice")
		end(t, a, "alice")
		flood(a)
		elsewhere := "192.0.2.200"
		wantErr(t, "without it", tryLogin(from(elsewhere), a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
		if err := tryLogin(from(elsewhere, g.DeviceToken), a, "alice", testPassword); err != nil {
			t.Errorf("with it: %v", err)
		}
		other := register(t, a, "mallory")
		wantErr(t, "with the token of another account", tryLogin(from("192.0.2.201", other.DeviceToken), a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
		forged := g.DeviceToken[:len(g.DeviceToken)-4] + "AAAA"
		wantErr(t, "with a forged one", tryLogin(from("192.0.2.201", forged), a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
	})
	t.Run("by an address with a live session", func(t *testing.T) {
		a, _ := newAuth(t)
		register(t, a, "alice")
		if err := tryLogin(from("192.0.2.7"), a, "alice", testPassword); err != nil {
			t.Fatal(err)
		}
		flood(a)
		if err := tryLogin(from("192.0.2.7"), a, "alice", testPassword); err != nil {
			t.Errorf("from there: %v", err)
		}
		wantErr(t, "from elsewhere", tryLogin(from("192.0.2.8"), a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
	})
	t.Run("by recovery, which unlocks", func(t *testing.T) {
		a, _, box := newMailAuth(t)
		register(t, a, "alice")
		flood(a)
		if err := reset(a, "alice", forget(t, a, box, "alice", jwtauth.DeliveryLink), ""); err != nil {
			t.Fatal(err)
		}
		if err := tryLogin(from("192.0.2.8"), a, "alice", newPassword); err != nil {
			t.Errorf("after the reset: %v", err)
		}
	})
	t.Run("by Unlock", func(t *testing.T) {
		a, _ := newAuth(t)
		u := register(t, a, "alice").User
		flood(a)
		if err := a.Unlock(bg, u.ID); err != nil {
			t.Fatal(err)
		}
		if err := tryLogin(from("192.0.2.8"), a, "alice", testPassword); err != nil {
			t.Errorf("after Unlock: %v", err)
		}
	})
}

func TestDeviceBudgetIsALimitToo(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "alice")
	device := from("192.0.2.200", g.DeviceToken)
	for range 5 {
		_ = tryLogin(device, a, "alice", "wrong")
	}
	wantErr(t, "a stolen device token", tryLogin(device, a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
	c.Add(181 * 24 * time.Hour)
	for range 5 {
		_ = tryLogin(from("203.0.113.9"), a, "alice", "wrong")
	}
	wantErr(t, "an expired device token", tryLogin(device, a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
}

func TestSprayingMeetsTheSource(t *testing.T) {
	store := jwtauth.NewMemoryStore()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	for i := range 30 {
		_ = tryLogin(from("2001:db8::"+string(rune('1'+i%9))), a, "user"+string(rune('a'+i)), "password of the day")
	}
	wantErr(t, "from another address of the same /64", tryLogin(from("2001:db8::ffff"), a, "alice", testPassword), jwtauth.ErrInvalidCredentials)
	if err := tryLogin(from("2001:db8:0:1::1"), a, "alice", testPassword); err != nil {
		t.Errorf("from another network: %v", err)
	}
}

// The right password clears what its own source did, and nothing else.
func TestSuccessClearsOnlyItsSource(t *testing.T) {
	a, _ := newAuth(t)
	register(t, a, "alice")
	for i := range 29 {
		_ = tryLogin(from("203.0.113.9"), a, "user"+string(rune('a'+i)), "wrong")
	}
	if err := tryLogin(from("203.0.113.9"), a, "alice", testPassword); err != nil {
		t.Fatal(err)
	}
	register(t, a, "bob")
	for range 2 {
		_ = tryLogin(from("203.0.113.9"), a, "nobody", "wrong")
	}
	if err := tryLogin(from("203.0.113.9"), a, "bob", testPassword); err != nil {
		t.Errorf("the source was not cleared: %v", err)
	}
}

// Names that nobody has are locked as well, so that a lock tells nothing.
func TestUnknownNamesAreLockedAlike(t *testing.T) {
	store := &countingStore{MemoryStore: jwtauth.NewMemoryStore(), calls: map[string]int{}}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	steps := func(name string) (out [8]int) {
		for i := range out {
			store.calls = map[string]int{}
			_ = tryLogin(from("203.0.113.9"), a, name, "wrong")
			out[i] = store.calls["Hit"]
		}
		return out
	}
	if known, unknown := steps("alice"), steps("nobody"); known != unknown {
		t.Errorf("store calls for a known account %v, for an unknown one %v", known, unknown)
	}
}

func TestCounterStoreDownRefusesLogins(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Counters = noCounters{jwtauth.NewMemoryStore()} })
	register(t, a, "alice")
	wantErr(t, "login", tryLogin(from("203.0.113.9"), a, "alice", testPassword), jwtauth.ErrUnavailable)
}

type noCounters struct{ jwtauth.CounterStore }

func (noCounters) Hit(context.Context, string, int, time.Duration, time.Time) (jwtauth.Count, error) {
	return jwtauth.Count{}, errDisk
}

func TestDeviceTokenOverHTTP(t *testing.T) {
	a, _ := newAuth(t)
	register(t, a, "alice")
	login := func(name, password, device string) answer {
		return send(t, a.Handler(), request{method: "POST", path: "/token", body: object{"username": name, "password": password},
			header: http.Header{"Content-Type": {"application/json"}, "X-Device-Token": {device}}, from: "192.0.2.200:1"})
	}
	device := login("alice", testPassword, "").str("device_token")
	if device == "" {
		t.Fatal("no device token")
	}
	if again := login("alice", testPassword, device).str("device_token"); again != device {
		t.Error("a device with a good token got another, and with it a fresh budget")
	}
	end(t, a, "alice")
	for range 6 {
		login("alice", "wrong", "")
	}
	wantError(t, login("alice", testPassword, ""), 401, "invalid_credentials")
	if r := login("alice", testPassword, device); r.status != 200 {
		t.Errorf("with the device token: %d %s", r.status, r.text)
	}
}

func TestLockoutConfigRefused(t *testing.T) {
	for _, tier := range []jwtauth.LockoutTier{{Failures: 0, Per: time.Minute}, {Failures: 5}, {Failures: 5, Per: -time.Second}, {Failures: 5, Per: 400 * 24 * time.Hour}} {
		cfg := testConfig(t)
		cfg.Lockout.Account = []jwtauth.LockoutTier{tier}
		if _, err := jwtauth.New(cfg); err == nil {
			t.Errorf("New accepted %+v", tier)
		}
	}
}

// Names and networks that a stranger invents share a bounded number of counters.
func TestInventedNamesAndNetworksStayBounded(t *testing.T) {
	store := &keyStore{MemoryStore: jwtauth.NewMemoryStore(), keys: map[string]bool{}}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	rounds := []int{0, 0}
	for i := range 20_000 {
		ip := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i), 0, 15: 1})
		_ = tryLogin(from(ip.String()), a, fmt.Sprint("invented", i), "wrong")
		if i == 9_999 {
			rounds[0] = len(store.keys)
		}
	}
	rounds[1] = len(store.keys)
	// 20,000 names over 65,536 ids meet often enough to be seen: about 17,300
	// different ids are expected, of 5 tiers each, and as many networks of 2.
	if per := rounds[1] - rounds[0]; per >= rounds[0] || rounds[1] > 7*17_800 {
		t.Errorf("%d counters after 10,000 names, %d after 20,000", rounds[0], rounds[1])
	}
}

// keyStore remembers the keys that are counted on.
type keyStore struct {
	*jwtauth.MemoryStore
	keys map[string]bool
}

func (s *keyStore) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	s.keys[key] = true
	return s.MemoryStore.Hit(ctx, key, limit, window, now)
}
