package jwtauth

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// check applies the policy to a new password of u: long enough, none that
// guessers try first, not blocked by the host. There are no rules about kinds
// of characters and no expiry: both make passwords worse (NIST SP 800-63B-4,
// section 3.1.1.2). Only the first rule that is broken is reported.
func (cfg PasswordConfig) check(ctx context.Context, password string, u User, issuer string) error {
	if err := cfg.checkForm(password); err != nil {
		return err
	}
	folded := foldPassword(password)
	switch {
	case repeatsItself(folded) || sequence(folded):
		return weak("The password repeats itself or follows a sequence. Please choose another one.")
	case guessable(folded, personalWords(u, issuer)):
		return weak("The password is too close to your name, your e-mail address or the name of this site.")
	case guessable(folded, commonPasswords()):
		return weak("The password is one of the most common ones. Please choose another one.")
	}
	return cfg.checkBlocked(ctx, password)
}

func weak(message string) error { return ErrWeakPassword.saying(message, "password") }

func (cfg PasswordConfig) checkForm(password string) error {
	switch {
	case len(password) > maxPassword:
		return weak(fmt.Sprintf("The password is too long: at most %d bytes are allowed.", maxPassword))
	case !utf8.ValidString(password) || strings.IndexByte(password, 0) >= 0:
		return weak("The password has characters that are not allowed.")
	case utf8.RuneCountInString(norm.NFC.String(password)) < cfg.MinLength:
		return weak(fmt.Sprintf("The password is too short: please use at least %d characters.", cfg.MinLength))
	}
	return nil
}

func (cfg PasswordConfig) checkBlocked(ctx context.Context, password string) error {
	if cfg.Blocked == nil {
		return nil
	}
	blocked, err := cfg.Blocked(ctx, password)
	switch {
	case err != nil: // fails closed: a list that is down must not let its content in
		return ErrUnavailable.because(fmt.Errorf("list of blocked passwords: %v", err))
	case blocked:
		return weak("The password is on a list of passwords that are known to attackers. Please choose another one.")
	}
	return nil
}

// foldPassword undoes what makes no difference to a guesser: case, width and
// other compatibility forms, spaces.
func foldPassword(s string) string {
	s = cases.Fold().String(norm.NFKC.String(s))
	return strings.Join(strings.Fields(s), "")
}

// maxUnit is how long a text may be that still makes no password by being
// repeated, in code points.
const maxUnit = 4

// repeatsItself reports whether s is a short text over and over: "aaaaaaaa",
// "abcabcabc", "12341234".
func repeatsItself(s string) bool {
	if s == "" {
		return true
	}
	// The first place where s occurs in s+s again is its period.
	period := strings.Index((s + s)[1:], s) + 1
	return period < len(s) && utf8.RuneCountInString(s[:period]) <= maxUnit
}

// keyboardRows are the orders in which fingers and alphabets run.
var keyboardRows = [...]string{
	"01234567890123456789",
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm", "1q2w3e4r5t6y7u8i9o0p",
}

// sequence reports whether s is a run of neighbours: in the character set, as
// "abcdefgh", or on a keyboard, in either direction.
func sequence(s string) bool {
	runes := []rune(s)
	back := make([]rune, len(runes))
	up, down := true, true
	for i, r := range runes {
		back[len(back)-1-i] = r
		if i > 0 {
			up = up && r == runes[i-1]+1
			down = down && r == runes[i-1]-1
		}
	}
	for _, row := range keyboardRows {
		if strings.Contains(row, s) || strings.Contains(row, string(back)) {
			return true
		}
	}
	return up || down
}

// personalWords are the first guesses for this very account. The password is
// compared with each of them, alone and decorated.
func personalWords(u User, issuer string) map[string]struct{} {
	words := map[string]struct{}{}
	add := func(s string) {
		if s = foldPassword(s); s != "" {
			words[s] = struct{}{}
			words[core(s)] = struct{}{}
		}
	}
	local, domain, _ := strings.Cut(u.Email, "@")
	for _, s := range []string{u.Login, u.LoginKey, u.Email, u.EmailKey, local, domain, u.DisplayName} {
		add(s)
	}
	for _, part := range strings.Fields(u.DisplayName) {
		add(part)
	}
	for _, label := range siteWords(issuer) {
		add(label)
	}
	delete(words, "")
	return words
}

// siteWords are the host of the issuer and its labels, without the last: "com"
// says nothing of a site.
func siteWords(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	labels := strings.Split(host, ".")
	return append(labels[:max(1, len(labels)-1)], host)
}

// guessable reports whether s is one of the words, alone or with the usual
// decoration: up to five digits and signs around it, digits and signs that
// stand for letters, or the word written twice.
func guessable(s string, words map[string]struct{}) bool {
	for _, guise := range guises(s) {
		if _, found := words[guise]; found {
			return true
		}
		if half := guise[:len(guise)/2]; half+half == guise {
			if _, found := words[half]; found {
				return true
			}
		}
	}
	return false
}

const maxDecoration = 5

// guises are the words that s may be in disguise.
func guises(s string) []string {
	g := []string{s, spell(s)}
	for _, inner := range []string{strings.TrimFunc(s, notWord), core(s)} {
		if inner != "" && utf8.RuneCountInString(s)-utf8.RuneCountInString(inner) <= maxDecoration {
			g = append(g, inner, spell(inner))
		}
	}
	return g
}

// core is s without the digits and signs at its ends.
func core(s string) string { return strings.TrimFunc(s, notLetter) }

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

func notWord(r rune) bool { return notLetter(r) && !unicode.IsDigit(r) }

var spelling = strings.NewReplacer("0", "o", "1", "i", "!", "i", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t")

// spell undoes the digits and signs that stand for letters.
func spell(s string) string { return spelling.Replace(s) }

// common.txt was compiled for this project from general knowledge of what
// published lists of leaked passwords have in common: words that people choose
// on their own or with a number behind, and longer ones as they are.
//
//go:embed common.txt
var commonText string

// commonPasswords are folded as passwords are before comparison.
var commonPasswords = sync.OnceValue(func() map[string]struct{} {
	words := map[string]struct{}{}
	for word := range strings.FieldsSeq(commonText) {
		words[word] = struct{}{}
	}
	return words
})
