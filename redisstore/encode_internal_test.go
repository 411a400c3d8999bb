package redisstore

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Internal: the encodings are not part of the API, and the scripts depend on
// their order.

func TestNumbersSortAsText(t *testing.T) {
	numbers := []int64{math.MinInt64, -1 << 53, -1, 0, 1, 9, 10, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	var texts []string
	for _, v := range numbers {
		text := number(v)
		texts = append(texts, text)
		if back, err := parseNumber(text); err != nil || back != v || len(text) != numberLen {
			t.Errorf("number %d: %q, back as %d, %v", v, text, back, err)
		}
	}
	if !slices.IsSorted(texts) || len(slices.Compact(texts)) != len(numbers) {
		t.Errorf("not in order: %q", texts)
	}
}

func TestStampsSortAsText(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	times := []time.Time{time.Unix(-1<<62, 0), {}, time.Unix(-1, 999_999_999), time.Unix(0, 0), at, at.Add(1), at.Add(time.Second - 1), at.Add(time.Second), time.Unix(1<<62, 0)}
	var texts []string
	for i, v := range times {
		text := stamp(v)
		texts = append(texts, text)
		back, err := parseStamp(text)
		if exact := i > 0 && i < len(times)-1; err != nil || len(text) != stampLen || exact && !back.Equal(v) {
			t.Errorf("stamp of %v: %q, back as %v, %v", v, text, back, err)
		}
	}
	if !slices.IsSorted(texts) || len(slices.Compact(texts)) != len(times) {
		t.Errorf("not in order: %q", texts)
	}
}

func TestLongFieldsRefused(t *testing.T) {
	long := make([]byte, maxField+1)
	if _, err := encodeRow(jwtauth.Session{UserAgent: string(long)}); err == nil {
		t.Error("no error")
	}
	if _, err := encodeRow(jwtauth.Session{UserAgent: string(long[1:])}); err != nil {
		t.Error(err)
	}
}

// What is read as a row is written as the same row.
func FuzzRow(f *testing.F) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)
	for _, s := range []jwtauth.Session{{}, {Generation: 1, CredentialVersion: 7, SecretID: "k-2", Created: at, Moved: at, Expires: at.Add(time.Hour),
		Address: "2001:db8::1", UserAgent: "Zoë's 🦊/1.0 \x00\xff", DeviceID: "tablet"}} {
		row, err := encodeRow(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
		f.Add(row[:len(row)-1])
		f.Add(row + "0")
	}
	f.Fuzz(func(t *testing.T, row string) {
		s, err := decodeRow("id", "user", row)
		if err != nil {
			return
		}
		if again, err := encodeRow(s); err != nil || again != row {
			t.Errorf("%q is read and written as %q, %v", row, again, err)
		}
	})
}

// What comes from the channel never panics, and names somebody or is refused.
func FuzzNotice(f *testing.F) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, kind := range []revokedKind{revokedToken, revokedSession, revokedUser} {
		text, err := encodeNotice(kind, jwtauth.Revocation{TokenID: "t", SessionID: "s", UserID: "u", From: at})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "{}", "null", "[]", `{"t":1}`, `{"s":"s","from":"x"}`, `{"t":""}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decodeNotice(text)
		if err == nil && r.TokenID == "" && r.SessionID == "" && r.UserID == "" {
			t.Errorf("%q names nobody", text)
		}
	})
}

func TestNoticesKeepWhoAndWhen(t *testing.T) {
	r := jwtauth.Revocation{TokenID: "t", SessionID: "s {}\"", UserID: "u", From: time.Unix(1, 2).UTC(), Generation: 5, Version: 6, Expires: time.Unix(9, 0)}
	for kind, want := range map[revokedKind]jwtauth.Revocation{
		revokedToken:   {TokenID: r.TokenID},
		revokedSession: {SessionID: r.SessionID, From: r.From},
		revokedUser:    {UserID: r.UserID},
	} {
		text, err := encodeNotice(kind, r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeNotice(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}
