package sqlstore

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// These look at the text of statements and at names, which no caller sees. What
// the statements do is tested in internal/integration, on real servers.

var flavours = []Flavour{SQLite, Postgres, MySQL}

func TestParametersAreNumberedForPostgres(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"SELECT 1":                 "SELECT 1",
		"?":                        "$1",
		"a = ? AND b IN (?, ?) ":   "a = $1 AND b IN ($2, $3) ",
		strings.Repeat("?", 11):    "$1$2$3$4$5$6$7$8$9$10$11",
		"VALUES (?, ?), (?, ?);\n": "VALUES ($1, $2), ($3, $4);\n",
	} {
		if got := numbered(text); got != want {
			t.Errorf("numbered(%q) is %q, want %q", text, got, want)
		}
	}
}

// TestStatementsAreBound finds text between quotes: it could only have come from
// a value.
func TestStatementsAreBound(t *testing.T) {
	seen := make(map[*statement]bool)
	for _, q := range statements() {
		if seen[q] {
			t.Errorf("listed twice: %s", q.text(SQLite))
		}
		seen[q] = true
		for _, f := range flavours {
			text := q.text(f)
			if text == "" {
				t.Errorf("%s has no text for %+v", f, *q)
			}
			if f == Postgres && strings.Contains(text, "?") || f != Postgres && strings.Contains(text, "$") {
				t.Errorf("%s can't bind: %s", f, text)
			}
			for i, part := range strings.Split(text, "'") {
				constants := []string{"", "[]", "{}", "jwtauth_place"}
				if i%2 == 1 && !strings.Contains(strings.Join(constants, "\n")+"\n", part+"\n") {
					t.Errorf("%s has the text %q in it: %s", f, part, text)
				}
			}
		}
	}
}

func TestMigrationsAreNumberedAndTheSameForAll(t *testing.T) {
	first, err := migrations(SQLite)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flavours {
		texts, err := migrations(f)
		if err != nil || len(texts) != len(first) {
			t.Errorf("%s has %d migrations (%v), and sqlite has %d", f, len(texts), err, len(first))
		}
		for i, text := range texts {
			if len(split(text)) == 0 || !strings.HasSuffix(text, ";\n") {
				t.Errorf("%s: migration %d does not end with a statement", f, i+1)
			}
		}
	}
	if _, err := migrations(Flavour(9)); err == nil {
		t.Error("migrations of an unknown flavour: no error")
	}
}

func TestNamesTellAllKeysApart(t *testing.T) {
	long := strings.Repeat("k", maxName+1)
	keys := []string{"", "alice", "Alice", "alice ", "zoë", "zoe\u0308", "a\x00", "a\x00b", "\xff", "\xfe", long, long + "k",
		hashedName, hashedName + "x", name(long), name("a\x00")}
	owner := make(map[string]string)
	for _, key := range keys {
		n := name(key)
		if other, taken := owner[n]; taken {
			t.Errorf("%.20q and %.20q have one name", other, key)
		}
		owner[n] = key
	}
	if name("alice") != "alice" {
		t.Error("a plain key is not kept as it is")
	}
}

func FuzzNameIsKeptByEveryDatabase(f *testing.F) {
	for _, key := range []string{"", "alice", "a\x00", "\xff", hashedName, strings.Repeat("é", 200)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		n := name(key)
		if !utf8.ValidString(n) || strings.Contains(n, "\x00") || len(n) > maxName {
			t.Errorf("name(%q) is %q", key, n)
		}
		if n != key && n == name(n) {
			t.Errorf("%q and its name %q meet", key, n)
		}
	})
}
