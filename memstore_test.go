package jwtauth_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestMemoryStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) jwtauth.Store { return jwtauth.NewMemoryStore() })
}

func TestMemoryStoreIDsAreDecimal(t *testing.T) {
	s := jwtauth.NewMemoryStore()
	for i, chosen := range []string{"", "3", "", "", "imported", ""} {
		u, err := s.CreateUser(t.Context(), jwtauth.User{ID: chosen, LoginKey: fmt.Sprint("user", i)})
		if want := []string{"1", "3", "2", "4", "imported", "5"}[i]; err != nil || u.ID != want {
			t.Errorf("account %d: id %q, error %v; want id %q", i, u.ID, err, want)
		}
	}
}

func TestMemoryStoreRefusesIDOfDeletedAccount(t *testing.T) {
	s := jwtauth.NewMemoryStore()
	u, err := s.CreateUser(t.Context(), jwtauth.User{ID: "7", LoginKey: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateUser(t.Context(), jwtauth.User{ID: "7", LoginKey: "bob"}); !errors.Is(err, jwtauth.ErrConflict) {
		t.Errorf("CreateUser with the id of a deleted account: error %v, want %v", err, jwtauth.ErrConflict)
	}
}

func TestMemoryStoreListRefuses(t *testing.T) {
	s := jwtauth.NewMemoryStore()
	for name, c := range map[string]struct {
		q    jwtauth.UserQuery
		want error
	}{
		"negative limit":       {jwtauth.UserQuery{Limit: -1}, jwtauth.ErrInvalidInput},
		"limit above maximum":  {jwtauth.UserQuery{Limit: 1001}, jwtauth.ErrInvalidInput},
		"unknown place":        {jwtauth.UserQuery{After: "9"}, jwtauth.ErrNotFound},
		"largest page allowed": {jwtauth.UserQuery{Limit: 1000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.ListUsers(t.Context(), c.q); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// A record that drops another one would be a way to cover tracks.
func TestMemoryStoreRefusesRecordsThatNobodyPurges(t *testing.T) {
	const most = 20_000
	s := jwtauth.NewMemoryStore()
	for i := range most {
		if err := s.Append(t.Context(), jwtauth.AuditRecord{ID: fmt.Sprintf("%06d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(t.Context(), jwtauth.AuditRecord{ID: "one more"}); err == nil || jwtauth.Code(err) != "internal_error" {
		t.Errorf("one record too many: error %v, want one that is none of the sentinels", err)
	}
}

func TestMemoryStoreRefusesWhatProtectsNothing(t *testing.T) {
	now := time.Now()
	s := jwtauth.NewMemoryStore()
	if err := s.Revoke(t.Context(), jwtauth.Revocation{Generation: 2, Expires: now.Add(time.Hour)}); err == nil {
		t.Error("Revoke without an id: no error")
	}
	if _, err := s.Hit(t.Context(), "k", 1, 0, now); err == nil {
		t.Error("Hit with no window: no error")
	}
	if ok, err := s.ClaimOnce(t.Context(), "k", now, now); ok || err != nil {
		t.Errorf("ClaimOnce that is over at once: %t, error %v; want false", ok, err)
	}
	if err := s.PutCode(t.Context(), jwtauth.OneTimeCode{Key: "k", Attempts: 5, Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ConsumeCode(t.Context(), "k", nil, now); !errors.Is(err, jwtauth.ErrConflict) {
		t.Errorf("ConsumeCode of a code without a hash: error %v, want %v", err, jwtauth.ErrConflict)
	}
}

// What an entry may take, with everything that leads to it.
func TestMemoryStoreBudgets(t *testing.T) {
	const n = 100_000
	now := time.Unix(1_800_000_000, 0)
	expires := now.Add(time.Hour)
	for _, tc := range []struct {
		name string
		most int64 // bytes
		add  func(s *jwtauth.MemoryStore, i int) error
	}{
		{"session", 150, func(s *jwtauth.MemoryStore, i int) error {
			_, err := s.CreateSession(t.Context(), jwtauth.Session{
				ID: fmt.Sprintf("%022d", i), UserID: fmt.Sprint(i / 2), Generation: 1, CredentialVersion: 1, SecretID: "s1",
				Created: now, Moved: now, Expires: expires, Address: fmt.Sprintf("203.0.%d.%d", i>>8&255, i&255),
				UserAgent: fmt.Sprint("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/", i%50),
			}, jwtauth.SessionLimit{})
			return err
		}},
		{"revoked token", 80, func(s *jwtauth.MemoryStore, i int) error {
			return s.Revoke(t.Context(), jwtauth.Revocation{TokenID: fmt.Sprintf("%036d", i), Expires: expires})
		}},
		{"ended session", 80, func(s *jwtauth.MemoryStore, i int) error {
			return s.Revoke(t.Context(), jwtauth.Revocation{SessionID: fmt.Sprintf("%022d", i), Generation: jwtauth.AllGenerations, Expires: expires})
		}},
		{"version of a user", 80, func(s *jwtauth.MemoryStore, i int) error {
			return s.Revoke(t.Context(), jwtauth.Revocation{UserID: fmt.Sprint(i), Version: 2, Expires: expires})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Other tests may leave things behind that go at any moment, and
			// count for the store then. They do so once.
			used := bytesEach(t, n, tc.add)
			for try := 0; try < 3 && used > tc.most; try++ {
				used = bytesEach(t, n, tc.add)
			}
			t.Logf("%d bytes each", used)
			if used < 16 || used > tc.most {
				t.Errorf("%d bytes each, want at most %d", used, tc.most)
			}
		})
	}
}

func TestRevokedAllocatesNothing(t *testing.T) {
	s, now := jwtauth.NewMemoryStore(), time.Unix(1_800_000_000, 0)
	r := jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: now.Add(time.Hour)}
	if err := s.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ref := jwtauth.TokenRef{TokenID: "t2", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Now: now}
	if n := testing.AllocsPerRun(100, func() {
		if revoked, err := s.Revoked(t.Context(), ref); revoked || err != nil {
			t.Fatal(revoked, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// bytesEach is what goes with a store of n entries, for each of them.
func bytesEach(t *testing.T, n int, add func(s *jwtauth.MemoryStore, i int) error) int64 {
	t.Helper()
	s := jwtauth.NewMemoryStore()
	for i := range n {
		if err := add(s, i); err != nil {
			t.Fatal(err)
		}
	}
	with := heapBytes()
	runtime.KeepAlive(s)
	s = nil
	return int64(with-heapBytes()) / int64(n)
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkMemoryStoreRevoked(b *testing.B) {
	now := time.Now()
	s := jwtauth.NewMemoryStore()
	for i := range 100_000 {
		r := jwtauth.Revocation{TokenID: fmt.Sprint("t", i), SessionID: fmt.Sprint("s", i), Generation: 2, Expires: now.Add(time.Hour)}
		if err := s.Revoke(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	ref := jwtauth.TokenRef{TokenID: "t-1", SessionID: "s7", Generation: 2, UserID: "42", Version: 1, Now: now}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got, err := s.Revoked(b.Context(), ref); got || err != nil {
				b.Error(got, err)
			}
		}
	})
}
