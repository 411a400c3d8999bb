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

// The figures of these benchmarks are bytes per entry at 1e6 entries; run them
// with -benchtime=1x.

func BenchmarkMemoryStoreSessionBytes(b *testing.B) {
	now := time.Now()
	benchmarkBytes(b, func(s *jwtauth.MemoryStore, i int) error {
		_, err := s.CreateSession(b.Context(), jwtauth.Session{
			ID: fmt.Sprintf("%022d", i), UserID: fmt.Sprint(i / 2), Generation: 1, SecretID: "s1",
			Created: now, Moved: now, Expires: now.Add(time.Hour), Address: "203.0.113.7",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		}, jwtauth.SessionLimit{})
		return err
	})
}

func BenchmarkMemoryStoreRevokedTokenBytes(b *testing.B) {
	expires := time.Now().Add(time.Hour)
	benchmarkBytes(b, func(s *jwtauth.MemoryStore, i int) error {
		return s.Revoke(b.Context(), jwtauth.Revocation{TokenID: fmt.Sprintf("%036d", i), Expires: expires})
	})
}

func BenchmarkMemoryStoreRevokedSessionBytes(b *testing.B) {
	expires := time.Now().Add(time.Hour)
	benchmarkBytes(b, func(s *jwtauth.MemoryStore, i int) error {
		return s.Revoke(b.Context(), jwtauth.Revocation{SessionID: fmt.Sprintf("%022d", i), Generation: 2, Expires: expires})
	})
}

func BenchmarkMemoryStoreCounterBytes(b *testing.B) {
	now := time.Now()
	benchmarkBytes(b, func(s *jwtauth.MemoryStore, i int) error {
		_, err := s.Hit(b.Context(), fmt.Sprintf("%032d", i), 5, time.Hour, now)
		return err
	})
}

func benchmarkBytes(b *testing.B, add func(s *jwtauth.MemoryStore, i int) error) {
	const n = 1_000_000
	for b.Loop() {
		before := heapBytes()
		s := jwtauth.NewMemoryStore()
		for i := range n {
			if err := add(s, i); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heapBytes()-before)/n, "bytes/entry")
		runtime.KeepAlive(s)
	}
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
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got, err := s.Revoked(b.Context(), ref); got || err != nil {
				b.Error(got, err)
			}
		}
	})
}
