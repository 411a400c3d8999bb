package jwtauth

// These tests are internal because the policy is a method that only the service
// calls; api tests see its effect, here every rule has its cases.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPasswordPolicy(t *testing.T) {
	ada := User{Login: "ada99", LoginKey: "ada99", Email: "Countess@Lovelace.test", EmailKey: "countess@lovelace.test",
		DisplayName: "Augusta Ada King"}
	const issuer = "https://login.analytical-engine.test:8443/auth"
	const good = "opiwr qmzlt vue"
	for _, tt := range []struct {
		name, password string
		min            int
		reason         string // a part of the message, "" where it is accepted
	}{
		{"eight characters accepted", "mq3vtzk!", 0, ""},
		{"seven characters refused", "mq3vtzk", 0, "at least 8"},
		{"eight bytes that are two characters refused", "🔑🔑", 0, "at least 8"},
		{"eight characters of four bytes accepted", "🔑🐧🍋🎻🧭🛶🪁🧵", 0, ""},
		{"combining marks count as composed", "e\u0301o\u0301i\u0301a\u0301", 0, "at least 8"},
		{"fourteen characters refused where fifteen are asked for", "mq3vtzkwpl2xrb", 15, "at least 15"},
		{"fifteen characters accepted", "mq3vtzkwpl2xrby", 15, ""},
		{"64 characters accepted", strings.Repeat("mq3vtzk!", 8), 0, ""},
		{"128 characters accepted", strings.Repeat("mq3vtzk!wp", 13)[:128], 0, ""},
		{"1,024 bytes accepted", strings.Repeat("mq3vtzk!", 128), 0, ""},
		{"1,025 bytes refused", strings.Repeat("mq3vtzk!", 128) + "m", 0, "too long"},
		{"one kind of characters accepted", "opiwrqmzltvue", 0, ""},
		{"spaces accepted", " " + good + " ", 0, ""},
		{"invalid UTF-8 refused", "\xff\xfemq3vtzk!", 0, "not allowed"},
		{"NUL refused", "mq3v\x00tzk!wp", 0, "not allowed"},

		{"one repeated character refused", "zzzzzzzzzz", 0, "repeats"},
		{"spaces alone refused", strings.Repeat(" ", 12), 0, "repeats"},
		{"repeated pair refused", "xyxyxyxyxy", 0, "repeats"},
		{"repeated character in both cases refused", "zZzZzZzZ", 0, "repeats"},
		{"alphabet refused", "defghijkl", 0, "sequence"},
		{"alphabet backwards refused", "LKJIHGFED", 0, "sequence"},
		{"Cyrillic alphabet refused", "абвгдежз", 0, "sequence"},
		{"digits over the nine refused", "7890123456", 0, "sequence"},
		{"keyboard row refused", "wertyuio", 0, "sequence"},
		{"German keyboard row backwards refused", "poiuztrewq", 0, "sequence"},
		{"keyboard columns refused", "qaz2wsx3edc", 0, "sequence"},

		{"e-mail address refused", "countess@lovelace.test", 0, "your name"},
		{"local part in capitals refused", "COUNTESS", 0, "your name"},
		{"local part and a year refused", "Countess1843!", 0, "your name"},
		{"full-width local part refused", "ｃｏｕｎｔｅｓｓ", 0, "your name"},
		{"local part in digits for letters refused", "c0unt3$$", 0, "your name"},
		{"local part twice refused", "countesscountess", 0, "your name"},
		{"own domain refused", "lovelace.test", 0, "your name"},
		{"display name without spaces refused", "augustaadaking", 0, "your name"},
		{"display name with spaces refused", "Augusta Ada King", 0, "your name"},
		{"part of the display name refused", "augusta2", 0, "your name"},
		{"user name with signs refused", "!!Ada99!!", 0, "your name"},
		{"site name refused", "analytical-engine", 0, "your name"},
		{"site's host refused", "login.analytical-engine.test", 0, "your name"},
		{"display name among other words accepted", "augusta loves engines", 0, ""},

		{"common password refused", "password", 0, "most common"},
		{"common password in disguise refused", "P@ssw0rd123!", 0, "most common"},
		{"common word and a year refused", "Summer2026!", 0, "most common"},
		{"common password twice refused", "letmeinletmein", 0, "most common"},
		{"common number refused", "147258369", 0, "most common"},
		{"common word in other letters refused", "ПАРОЛЬ123", 0, "most common"},
		{"common words in a phrase accepted", "monkey summer trains", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := PasswordConfig{MinLength: tt.min}.withDefaults()
			err := cfg.check(t.Context(), tt.password, ada, issuer)
			if tt.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Code != ErrWeakPassword.Code || !strings.Contains(e.Message, tt.reason) ||
				!slices.Equal(e.Fields, []string{"password"}) {
				t.Fatalf("error %#v, want %q", err, tt.reason)
			}
			if tt.password != "password" && strings.Contains(err.Error(), tt.password) {
				t.Error("the message echoes the password")
			}
		})
	}
}

func TestBlockedHook(t *testing.T) {
	var asked []string
	hook := func(blocked bool, err error) PasswordConfig {
		return PasswordConfig{Blocked: func(_ context.Context, password string) (bool, error) {
			asked = append(asked, password)
			return blocked, err
		}}.withDefaults()
	}
	for _, tt := range []struct {
		name     string
		cfg      PasswordConfig
		password string
		want     error
		asked    int
	}{
		{"password that is not on the list accepted", hook(false, nil), "mq3vtzk!", nil, 1},
		{"password on the list refused", hook(true, nil), "mq3vtzk!", ErrWeakPassword, 1},
		{"failing list refuses", hook(false, errors.New("mq3vtzk! not looked up")), "mq3vtzk!", ErrUnavailable, 1},
		{"list is not asked about what is refused anyway", hook(false, nil), "password", ErrWeakPassword, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			err := tt.cfg.check(t.Context(), tt.password, User{}, "https://auth.example.test")
			if !errors.Is(err, tt.want) || len(asked) != tt.asked {
				t.Errorf("error %v after %d questions, want %v after %d", err, len(asked), tt.want, tt.asked)
			}
		})
	}
}

// An entry that is not folded as passwords are would never be found.
func TestCommonListIsFolded(t *testing.T) {
	words := commonPasswords()
	if len(words) < 1000 {
		t.Errorf("only %d words", len(words))
	}
	for word := range words {
		if foldPassword(word) != word {
			t.Errorf("%q should be %q", word, foldPassword(word))
		}
	}
}

func FuzzPasswordPolicy(f *testing.F) {
	f.Add("password", "ada", "ada@example.test", "https://auth.example.test")
	f.Add("", "", "", "")
	f.Add("\xff🔑", "@", "@@", "http://[::1]:80")
	cfg := PasswordConfig{}.withDefaults()
	f.Fuzz(func(t *testing.T, password, login, email, issuer string) {
		u := User{Login: login, Email: email, DisplayName: login}
		err := cfg.check(t.Context(), password, u, issuer)
		if err != nil && !errors.Is(err, ErrWeakPassword) {
			t.Error(err)
		}
		if err == nil && (password == login || password == email) {
			t.Error("the own name was accepted")
		}
	})
}

func BenchmarkPasswordPolicy(b *testing.B) {
	cfg := PasswordConfig{}.withDefaults()
	u := User{Login: "ada", Email: "ada@example.test", DisplayName: "Augusta Ada King"}
	long := strings.Repeat("mq3vtzk!", 128)
	for b.Loop() {
		if err := cfg.check(b.Context(), long, u, "https://auth.example.test"); err != nil {
			b.Fatal(err)
		}
	}
}
