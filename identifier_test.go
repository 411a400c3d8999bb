package jwtauth_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-jwtauth/jwtauth"
)

// canonical is the key under which an identifier is registered.
func canonical(s string) (string, error) {
	if strings.Contains(s, "@") {
		return jwtauth.CanonicalEmail(s)
	}
	return jwtauth.CanonicalName(s)
}

// identifierPair is one vector: two identifiers, and whether they may become two
// accounts.
type identifierPair struct{ A, B, Expect, Why string }

// holds reports whether the canonical forms are as the vector expects. Two ways
// to be right are joined by "-or-".
func (p identifierPair) holds() bool {
	a, errA := canonical(p.A)
	b, errB := canonical(p.B)
	outcome := "different"
	switch {
	case errA != nil:
		outcome = "refuse"
	case errB == nil && a == b:
		outcome = "same"
	}
	switch p.Expect {
	case "different+warn": // the default policy refuses mixed scripts
		return outcome == "refuse"
	case "allowed-text":
		return errA == nil && outcome == "different"
	}
	return slices.Contains(strings.Split(p.Expect, "-or-"), outcome)
}

func readIdentifierPairs(t testing.TB) []identifierPair {
	t.Helper()
	b, err := os.ReadFile("testdata/web/identifier_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []identifierPair
		Count   int
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 || len(file.Vectors) != file.Count {
		t.Fatalf("%d vectors, want %d", len(file.Vectors), file.Count)
	}
	return file.Vectors
}

func TestIdentifierVectors(t *testing.T) {
	for _, p := range readIdentifierPairs(t) {
		t.Run(p.Expect+" "+p.Why, func(t *testing.T) {
			if !p.holds() {
				a, errA := canonical(p.A)
				b, errB := canonical(p.B)
				t.Errorf("%q and %q: %q (%v), %q (%v)", p.A, p.B, a, errA, b, errB)
			}
		})
	}
}

func TestCanonicalName(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"capitals folded", "Alice", "alice"},
		{"full width folded", "Ａlice", "alice"},
		{"decomposed composed", "cafe\u0301", "café"},
		{"Greek accepted", "Σωκράτης", "σωκράτης"},
		{"Japanese with Latin accepted", "田中ひろしカナa1", "田中ひろしカナa1"},
		{"Korean with Latin accepted", "김철수kim", "김철수kim"},
		{"Chinese with Bopomofo accepted", "王ㄅㄆ", "王ㄅㄆ"},
		{"Arabic accepted", "محمد", "محمد"},
		{"60 characters accepted", strings.Repeat("é", 60), strings.Repeat("é", 60)},
		{"61 characters refused", strings.Repeat("a", 61), ""},
		{"no character refused", "", ""},
		{"Latin with Cyrillic refused", "pаypal", ""},
		{"Latin with Greek refused", "αlice", ""},
		{"Korean with Japanese refused", "김ひろ", ""},
		{"Arabic with Latin refused", "aمحمد", ""},
		{"@ refused", "alice@example.test", ""},
		{"full-width @ refused", "alice＠example.test", ""},
		{"line break refused", "ali\nce", ""},
		{"zero-width space refused", "ali\u200bce", ""},
		{"soft hyphen refused", "ali\u00adce", ""},
		{"invalid UTF-8 refused", "ali\xffce", ""},
		{"emoji refused", "alice🔑", ""},
		{"unassigned character refused", "alice\U000E0FFF", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jwtauth.CanonicalName(tt.in)
			check(t, got, err, tt.want, "username")
		})
	}
}

func TestCanonicalEmail(t *testing.T) {
	local64 := strings.Repeat("a", 64)
	longDomain := strings.Repeat(strings.Repeat("b", 60)+".", 3) + "test" // 187 bytes
	for _, tt := range []struct{ name, in, want string }{
		{"capitals folded on both sides", "Alice@EXAMPLE.Test", "alice@example.test"},
		{"IDN becomes A-labels", "a@bücher.example", "a@xn--bcher-kva.example"},
		{"A-label folded", "a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"},
		{"sharp s is its own letter", "a@straße.example", "a@xn--strae-oqa.example"},
		{"ideographic full stop is a dot", "a@example。test", "a@example.test"},
		{"signs of a dot-atom accepted", "o'neil+x_y=z/1!#$%&*-?^`{|}~.q@example.test", "o'neil+x_y=z/1!#$%&*-?^`{|}~.q@example.test"},
		{"local part in another script accepted", "почта@example.test", "почта@example.test"},
		{"64 bytes of local part accepted", local64 + "@example.test", local64 + "@example.test"},
		{"252 bytes accepted", local64 + "@" + longDomain, local64 + "@" + longDomain},
		{"65 bytes of local part refused", local64 + "a@example.test", ""},
		{"255 bytes refused", local64 + "@bbb." + longDomain[:182] + "test", ""},
		{"255 bytes once mapped refused", local64 + "@" + strings.Repeat("üüü.", 20) + "test", ""},
		{"long A-label refused", "a@" + strings.Repeat("ü", 60) + ".test", ""},
		{"no @ refused", "alice", ""},
		{"no local part refused", "@example.test", ""},
		{"no domain refused", "alice@", ""},
		{"two @ refused", "a@b@example.test", ""},
		{"full-width second @ refused", "a＠b@example.test", ""},
		{"quoted local part refused", `"a b"@example.test`, ""},
		{"full-width quotes refused", "＂a＂@example.test", ""},
		{"space refused", "a b@example.test", ""},
		{"comment refused", "a(b)@example.test", ""},
		{"display name refused", "Alice <a@example.test>", ""},
		{"list refused", "a@example.test,b@example.test", ""},
		{"line break refused", "a@example.test\r\nBcc: b@example.test", ""},
		{"NUL refused", "a@example.test\x00", ""},
		{"first dot refused", ".a@example.test", ""},
		{"last dot refused", "a.@example.test", ""},
		{"two dots refused", "a..b@example.test", ""},
		{"full-width dots refused", "a．．b@example.test", ""},
		{"dot after the domain refused", "a@example.test.", ""},
		{"empty label refused", "a@example..test", ""},
		{"one label refused", "a@localhost", ""},
		{"IPv4 address refused", "a@127.0.0.1", ""},
		{"address literal refused", "a@[127.0.0.1]", ""},
		{"IPv6 literal refused", "a@[IPv6:::1]", ""},
		{"underscore in the domain refused", "a@ex_ample.test", ""},
		{"hyphen first in a label refused", "a@-example.test", ""},
		{"false A-label refused", "a@xn--a.test", ""},
		{"A-label of an ASCII name refused", "a@xn--example-.test", ""},
		{"encoded word refused", "=?utf-8?q?a?=@example.test", ""},
		{"mixed scripts refused", "pаypal@example.test", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := jwtauth.CanonicalEmail(tt.in)
			check(t, got, err, tt.want, "email")
		})
	}
}

// check compares a canonical form; "" wants a refusal that names the field and
// does not echo the input.
func check(t *testing.T, got string, err error, want, field string) {
	t.Helper()
	if want != "" {
		if err != nil || got != want {
			t.Errorf("%q (%v), want %q", got, err, want)
		}
		return
	}
	var e *jwtauth.Error
	if got != "" || !errors.As(err, &e) || !errors.Is(err, jwtauth.ErrInvalidInput) || !slices.Equal(e.Fields, []string{field}) {
		t.Errorf("%q (%v), want a refusal of %q", got, err, field)
	}
}

// A key that changes when it is canonicalized again would be found under one
// form and stored under another.
func FuzzCanonicalName(f *testing.F) {
	seedIdentifiers(f)
	f.Fuzz(func(t *testing.T, s string) {
		key, err := jwtauth.CanonicalName(s)
		if err != nil {
			return
		}
		fixedPoint(t, key, jwtauth.CanonicalName)
		if strings.Contains(key, "@") || utf8.RuneCountInString(key) > 60 {
			t.Errorf("key %q", key)
		}
	})
}

func FuzzCanonicalEmail(f *testing.F) {
	seedIdentifiers(f)
	f.Fuzz(func(t *testing.T, s string) {
		key, err := jwtauth.CanonicalEmail(s)
		if err != nil {
			return
		}
		fixedPoint(t, key, jwtauth.CanonicalEmail)
		_, domain, _ := strings.Cut(key, "@")
		if strings.Count(key, "@") != 1 || len(key) > 254 || strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			t.Errorf("key %q", key)
		}
	})
}

func seedIdentifiers(f *testing.F) {
	for _, p := range readIdentifierPairs(f) {
		f.Add(p.A)
		f.Add(p.B)
	}
	f.Add("Σωκράτης@straße.example")
	f.Add("İ＠ﬁ@xn--bcher-kva.example")
}

func fixedPoint(t *testing.T, key string, canonicalize func(string) (string, error)) {
	t.Helper()
	if again, err := canonicalize(key); err != nil || again != key {
		t.Errorf("%q becomes %q (%v)", key, again, err)
	}
	if key == "" || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.ContainsFunc(key, unicode.IsSpace) {
		t.Errorf("key %q", key)
	}
}

func BenchmarkCanonicalName(b *testing.B) {
	for _, name := range []string{"alice", "田中ひろしカナ", strings.Repeat("ж", 60)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jwtauth.CanonicalName(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonicalEmail(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jwtauth.CanonicalEmail("Alice@example.test"); err != nil {
			b.Fatal(err)
		}
	}
}
