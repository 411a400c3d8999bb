package jwtauth

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

const (
	maxNameRunes  = 60
	maxEmailBytes = 254 // RFC 5321, section 4.5.3.1.3, without the angle brackets
	maxLocalBytes = 64  // section 4.5.3.1.1
	maxRoles      = 32
	maxRole       = 64
	maxPlainText  = 255
)

var (
	errName  = ErrInvalidInput.saying("This user name is too long or has characters that are not allowed.", "username")
	errMixed = ErrInvalidInput.saying("This user name mixes alphabets that look alike.", "username")
	errEmail = ErrInvalidInput.saying("This is not an e-mail address that can be used here.", "email")
	errOwn   = ErrInvalidInput.saying("A user name with an @ must be the e-mail address of the account.", "username")
)

// CanonicalName returns the form in which a user name is stored and compared:
// PRECIS UsernameCaseMapped (RFC 8265, section 3.3), which maps width and case
// and normalizes to NFC. Two names are the same exactly if this form is.
//
// [ErrInvalidInput] refuses what PRECIS refuses (spaces, controls, text that
// changes direction, ligatures and the like), names of more than 60 code
// points, names with an "@", which are addresses, and names that mix scripts:
// only Latin may stand beside Chinese, Japanese or Korean, as Unicode's
// "highly restrictive" profile has it (UTS 39, section 5.2). Nothing is cut or
// repaired. Names wholly in another alphabet are allowed even if they look
// like a Latin one.
func CanonicalName(name string) (string, error) {
	key, ok := caseMapped(name, maxNameRunes*utf8.UTFMax)
	// The check for "@" comes after the mapping, which makes one of U+FF20.
	if !ok || utf8.RuneCountInString(key) > maxNameRunes || strings.Contains(key, "@") {
		return "", errName
	}
	if !oneScript(key) {
		return "", errMixed
	}
	return key, nil
}

// CanonicalEmail returns the form in which an e-mail address is stored and
// compared: the local part as [CanonicalName] has it, then the domain in
// lower-case A-labels (RFC 5891). Sub-addresses ("+x") and dots are kept, since
// only the provider knows what they mean.
//
// [ErrInvalidInput] refuses what is not one local part, one "@" and one domain
// name of at least two labels: quoted local parts, address literals, numbers in
// place of a domain, a dot at the end, "localhost", MIME encoded words, more
// than 64 bytes before the "@" or 254 in all.
func CanonicalEmail(address string) (string, error) {
	local, domain, found := strings.Cut(address, "@")
	if !found || len(address) > maxEmailBytes || strings.Contains(domain, "@") {
		return "", errEmail
	}
	local, okLocal := canonicalLocal(local)
	domain, okDomain := canonicalDomain(domain)
	key := local + "@" + domain
	if !okLocal || !okDomain || len(key) > maxEmailBytes {
		return "", errEmail
	}
	return key, nil
}

// canonicalLocal accepts a dot-atom (RFC 5321, section 4.1.2; beyond ASCII,
// RFC 6531, section 3.3). It is checked as mapped: full-width signs have become
// ASCII ones by then.
func canonicalLocal(local string) (string, bool) {
	key, ok := caseMapped(local, maxLocalBytes)
	if !ok || len(key) > maxLocalBytes || strings.Contains(key, "=?") || !oneScript(key) {
		return "", false
	}
	for atom := range strings.SplitSeq(key, ".") {
		if atom == "" || strings.ContainsFunc(atom, notAtext) {
			return "", false
		}
	}
	return key, true
}

// notAtext is the complement of atext (RFC 5322, section 3.2.3) and what
// RFC 6531 adds to it.
func notAtext(r rune) bool {
	return r < utf8.RuneSelf && !asciiAlnum(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func asciiAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func canonicalDomain(domain string) (string, bool) {
	// Look-up rules, with the mapping of UTS 46, and the lengths of RFC 1035.
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true),
		idna.VerifyDNSLength(true), idna.Transitional(false))
	key, err := profile.ToASCII(domain)
	if err != nil {
		return "", false
	}
	again, err := profile.ToASCII(key)
	dot := strings.LastIndexByte(key, '.')
	// A last label of digits alone is an IPv4 address, no name (RFC 3696,
	// section 2).
	ok := err == nil && again == key && dot > 0 && strings.Trim(key[dot+1:], "0123456789") != ""
	return key, ok
}

// caseMapped applies the PRECIS profile. PRECIS does not promise that a second
// round changes nothing (RFC 8264, section 7), and keys depend on that: what
// is not stable is refused.
func caseMapped(s string, maxBytes int) (string, bool) {
	if s == "" || len(s) > maxBytes || !utf8.ValidString(s) {
		return "", false
	}
	key, err := precis.UsernameCaseMapped.String(s)
	if err != nil || key == "" {
		return "", false
	}
	again, err := precis.UsernameCaseMapped.String(key)
	return key, err == nil && again == key
}

// mixable are the sets of scripts that are written together.
var mixable = [...][]string{
	{"Latin", "Han", "Hiragana", "Katakana"},
	{"Latin", "Han", "Hangul"},
	{"Latin", "Han", "Bopomofo"},
}

// oneScript reports whether s is in a single script, or in one of the sets that
// are mixable. Digits, signs and combining marks belong to all.
func oneScript(s string) bool {
	scripts := map[string]bool{}
	for _, r := range s {
		name := scriptOf(r)
		if name == "" || scripts[name] {
			continue
		}
		scripts[name] = true
		if len(scripts) > 1 && !writtenTogether(scripts) {
			return false
		}
	}
	return true
}

func writtenTogether(scripts map[string]bool) bool {
	for _, set := range mixable {
		n := 0
		for _, name := range set {
			if scripts[name] {
				n++
			}
		}
		if n == len(scripts) {
			return true
		}
	}
	return false
}

// scriptOf returns the script of r, or "" where it belongs to all.
func scriptOf(r rune) string {
	if r < utf8.RuneSelf {
		if unicode.IsLetter(r) {
			return "Latin"
		}
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			if name == "Common" || name == "Inherited" {
				return ""
			}
			return name
		}
	}
	return "Unknown"
}

// canonicalLogin returns the key of what a person typed as login: an address if
// it has an "@", a name otherwise. The two can't be mixed up, since no name
// has one.
func canonicalLogin(text string) (key string, err error) {
	if strings.Contains(text, "@") {
		return CanonicalEmail(text)
	}
	return CanonicalName(text)
}

// canonicalIdentifiers returns the keys of a new account. A login with an "@"
// must be the account's own address: registered for that of somebody else, it
// would receive the other's logins and resets. Without a login the address is
// the login.
func canonicalIdentifiers(login, email string) (loginKey, emailKey string, err error) {
	emailKey, err = CanonicalEmail(email)
	if err != nil {
		return "", "", err
	}
	switch {
	case login == "":
		return emailKey, emailKey, nil
	case !strings.Contains(login, "@"):
		loginKey, err = CanonicalName(login)
		if err != nil {
			return "", "", err
		}
		return loginKey, emailKey, nil
	}
	loginKey, err = CanonicalEmail(login)
	if err != nil || loginKey != emailKey {
		return "", "", errOwn
	}
	return loginKey, emailKey, nil
}

// checkRoles accepts up to 32 different names of 1 to 64 ASCII letters, digits
// and "_-.:" each.
func checkRoles(roles []string) error {
	if len(roles) > maxRoles {
		return errors.New("more than 32 roles")
	}
	seen := make(map[string]bool, len(roles))
	for _, role := range roles {
		switch {
		case role == "" || len(role) > maxRole || strings.ContainsFunc(role, notRole):
			return errors.New("a role must be 1 to 64 letters, digits, hyphens, underscores, dots or colons")
		case seen[role]:
			return errors.New("a role is repeated")
		}
		seen[role] = true
	}
	return nil
}

func notRole(r rune) bool { return !asciiAlnum(r) && !strings.ContainsRune("_-.:", r) }

// plainText reports whether s is 1 to 255 bytes of valid UTF-8 without control
// characters.
func plainText(s string) bool {
	return s != "" && len(s) <= maxPlainText &&
		(printableASCII(s) || utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl))
}

// printableASCII answers for nearly every text, and quickly.
func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
