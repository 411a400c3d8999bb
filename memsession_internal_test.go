package jwtauth

// Internal: how sessions are packed and found shows nowhere else.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// FuzzPackedSession checks that a session comes back as it was, whatever is in it.
func FuzzPackedSession(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAA", "42", "s1", "203.0.113.7", "phone", int64(1), int64(2), int64(1_800_000_000), int64(5), int64(3600), int64(0))
	f.Add("AAAAAAAAAAAAAAAAAAAAAB", "", "", "2001:db8::1", "", int64(-1), int64(0), int64(-62135596800), int64(999_999_999), int64(1)<<62, int64(-7))
	f.Add("not base64!", "::ffff:192.0.2.1", "fe80::1%eth0", "192.0.2.01", "AAAAAAAAAAAAAAAAAAA\nAAA", int64(1)<<62, int64(-1)<<63, int64(1)<<62, int64(0), int64(-1)<<63, int64(1))
	f.Fuzz(func(t *testing.T, id, user, secret, address, device string, version, generation, created, nanos, moved, expires int64) {
		at := func(seconds int64) time.Time { return time.Unix(seconds, nanos).UTC() }
		s := Session{ID: id, UserID: user, SecretID: secret, Address: address, DeviceID: device, CredentialVersion: version,
			Generation: generation, Created: at(created), Moved: at(moved), Expires: time.Unix(expires, 0).UTC()}
		got := unpackSession(packSession(s))
		// A difference of nanoseconds has its own representation of one time.
		same := got.Created.Equal(s.Created) && got.Moved.Equal(s.Moved) && got.Expires.Equal(s.Expires)
		got.Created, got.Moved, got.Expires = s.Created, s.Moved, s.Expires
		if !same || got != s {
			t.Fatalf("%+v came back as %+v", s, unpackSession(packSession(s)))
		}
	})
}

func TestPackedTextsOfUsualSpellingAreShort(t *testing.T) {
	for _, tc := range []struct {
		text string
		most int
	}{
		{"q83vASNFZ4mrze8BI0VniQ", 17}, {"203.0.113.7", 5}, {"2001:db8::1", 17}, {"phone", 6}, {"", 1},
		{strings.Repeat("x", 200), 203},
	} {
		if n := len(packText(nil, tc.text)); n > tc.most {
			t.Errorf("%q takes %d bytes, want at most %d", tc.text, n, tc.most)
		}
	}
}

// The index is compared with a map, with so few hashes that they collide and so
// few parts in use that entries move.
func TestPlaceIndexIsAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	x, twin := new(placeIndex), map[uint32]uint32{} // place → hash
	for i := range 50_000 {
		place := r.Uint32N(200) + 1
		hash, there := twin[place]
		is := func(p uint32) bool { return p == place }
		if !there {
			hash = r.Uint32N(40) << 26
		}
		if slot := x.find(hash, is); (slot != nil) != there {
			t.Fatalf("step %d: found %t, want %t", i, slot != nil, there)
		}
		if there {
			x.remove(hash, place)
			delete(twin, place)
		} else {
			x.add(hash, place)
			twin[place] = hash
		}
		if i%100 == 0 {
			for place, hash := range twin {
				if slot := x.find(hash, func(p uint32) bool { return p == place }); slot == nil {
					t.Fatalf("step %d: place %d is lost", i, place)
				}
			}
		}
	}
	if x.size() != len(twin) {
		t.Errorf("%d entries, want %d", x.size(), len(twin))
	}
}

// Rows are used again, so a store that many pass through stays small.
func TestSessionRowsAreUsedAgain(t *testing.T) {
	s, now := NewMemoryStore(), time.Unix(1_800_000_000, 0)
	for round := range 20 {
		for i := range 1000 {
			if _, err := s.CreateSession(t.Context(), Session{ID: fmt.Sprint(round, "-", i), UserID: fmt.Sprint(i % 10), Created: now, Expires: now.Add(time.Hour)}, SessionLimit{}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 10 {
			if ended, err := s.EndSessions(t.Context(), fmt.Sprint(i), ""); err != nil || len(ended) != 100 {
				t.Fatalf("%d ended, %v", len(ended), err)
			}
		}
	}
	if n := len(s.blocks); n > 1 {
		t.Errorf("%d blocks for 1,000 sessions at a time", n)
	}
}
