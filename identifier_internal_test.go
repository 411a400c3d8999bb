package jwtauth

// These tests are internal because the rules are helpers of several methods of
// Auth; here each has its cases alone.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalLogin(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"name", "Alice", "alice"},
		{"address", "Alice@Example.test", "alice@example.test"},
		{"full-width @ is no address and no name", "alice＠example.test", ""},
		{"nothing refused", "", ""},
		{"a long text refused", strings.Repeat("a", 1<<20), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := canonicalLogin(tt.in)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("%q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestCanonicalIdentifiers(t *testing.T) {
	for _, tt := range []struct {
		name, login, email string
		loginKey, emailKey string
		field              string // that is refused
	}{
		{"name and address", "Alice", "Alice@Example.test", "alice", "alice@example.test", ""},
		{"address alone is the login", "", "Alice@Example.test", "alice@example.test", "alice@example.test", ""},
		{"own address as name accepted", "ALICE@example.test", "alice@EXAMPLE.test", "alice@example.test", "alice@example.test", ""},
		{"address of somebody else as name refused", "bob@example.test", "alice@example.test", "", "", "username"},
		{"text with @ that is no address refused", "alice@", "alice@example.test", "", "", "username"},
		{"full-width @ refused", "bob＠example.test", "alice@example.test", "", "", "username"},
		{"bad name refused", "ali ce", "alice@example.test", "", "", "username"},
		{"bad address refused", "alice", "alice", "", "", "email"},
		{"no address refused", "alice", "", "", "", "email"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			loginKey, emailKey, err := canonicalIdentifiers(tt.login, tt.email)
			if loginKey != tt.loginKey || emailKey != tt.emailKey {
				t.Errorf("keys %q and %q, want %q and %q", loginKey, emailKey, tt.loginKey, tt.emailKey)
			}
			var e *Error
			if tt.field == "" && err != nil ||
				tt.field != "" && (!errors.As(err, &e) || e.Code != ErrInvalidInput.Code || !slices.Equal(e.Fields, []string{tt.field})) {
				t.Errorf("error %#v, want one about %q", err, tt.field)
			}
		})
	}
}

func TestCheckRoles(t *testing.T) {
	numbered := func(n int) []string {
		roles := make([]string, n)
		for i := range roles {
			roles[i] = fmt.Sprint("role", i)
		}
		return roles
	}
	for _, tt := range []struct {
		name  string
		roles []string
		ok    bool
	}{
		{"none accepted", nil, true},
		{"letters, digits and signs accepted", []string{"Editor", "shop:admin-2_x.y"}, true},
		{"64 characters accepted", []string{strings.Repeat("a", 64)}, true},
		{"32 roles accepted", numbered(32), true},
		{"33 roles refused", numbered(33), false},
		{"65 characters refused", []string{strings.Repeat("a", 65)}, false},
		{"empty name refused", []string{""}, false},
		{"space refused", []string{"shop admin"}, false},
		{"comma refused", []string{"a,b"}, false},
		{"quote refused", []string{`a"b`}, false},
		{"letter beyond ASCII refused", []string{"аdmin"}, false},
		{"repeated role refused", []string{"a", "b", "a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkRoles(tt.roles); (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPlainText(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     bool
	}{
		{"text accepted", "Ada, Countess of Lovelace 🔑", true},
		{"255 bytes accepted", strings.Repeat("a", 255), true},
		{"256 bytes refused", strings.Repeat("a", 256), false},
		{"nothing refused", "", false},
		{"line break refused", "a\nb", false},
		{"NUL refused", "a\x00", false},
		{"C1 control refused", "a\u0085b", false},
		{"invalid UTF-8 refused", "a\xff", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := plainText(tt.in); got != tt.want {
				t.Errorf("plainText = %v, want %v", got, tt.want)
			}
		})
	}
}
