package jwtauth

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"
)

// storedHash is a hash that may be computed: known, well formed and bounded.
type storedHash struct {
	class string // scheme and parameters: those of one class take equally long
	cost  int    // about how many microseconds
	match func(password string) bool
}

// The shortest hash in use has 13 characters (DES crypt); what is shorter is a
// marker such as "*0" or "0".
const (
	minStoredHash = 13
	maxStoredHash = 512
)

// parseHash decides which scheme a stored hash is of. It refuses markers
// before any verifier sees them: the hash of an account that was locked by
// putting "!" or "*" in front matches nothing.
func (cfg PasswordConfig) parseHash(s string) (storedHash, bool) {
	if len(s) < minStoredHash || len(s) > maxStoredHash || s[0] == '*' || s[0] == '!' {
		return storedHash{}, false
	}
	if a, ok := parseArgon2id(s); ok {
		return a.stored(), true
	}
	if b, ok := parseBcrypt(s); ok {
		return b.stored(), true
	}
	for i, v := range cfg.Verifiers {
		if v.Recognizes(s) {
			return foreignHash(i, v, s), true
		}
	}
	return storedHash{}, false
}

func foreignHash(i int, v PasswordVerifier, s string) storedHash {
	cost := 1
	if c, ok := v.(PasswordCoster); ok {
		cost = c.Cost(s)
	}
	return storedHash{class: fmt.Sprintf("verifier %d cost %d", i, cost), cost: cost, match: func(password string) bool {
		ok, err := v.Verify(s, password)
		return ok && err == nil
	}}
}

// Bounds on argon2id hashes, ours and imported ones. The dearest hash that
// passes holds 256 MiB and a slot for about a second; without bounds one
// imported row could ask for 4 TiB.
const (
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
	maxArgonWork    = 1 << 20 // KiB, memory times passes

	saltBytes, minSalt, maxSalt = 16, 8, 64
	tagBytes, minTag, maxTag    = 32, 16, 64
)

type argon2idParams struct {
	memory, time uint32
	threads      uint8
}

// bounded reports whether RFC 9106, section 3.1, and the bounds above allow p.
func (p argon2idParams) bounded() bool {
	return p.threads >= 1 && p.threads <= maxArgonThreads &&
		p.memory >= 8*uint32(p.threads) && p.memory <= maxArgonMemory &&
		p.time >= 1 && p.time <= maxArgonTime && p.memory*p.time <= maxArgonWork
}

// strong reports whether p reaches one of the choices that the OWASP Password
// Storage Cheat Sheet calls equal.
func (p argon2idParams) strong() bool {
	for _, floor := range []argon2idParams{{memory: 47104, time: 1}, {memory: 19456, time: 2},
		{memory: 12288, time: 3}, {memory: 9216, time: 4}, {memory: 7168, time: 5}} {
		if p.memory >= floor.memory && p.time >= floor.time {
			return true
		}
	}
	return false
}

func (p argon2idParams) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d", argon2.Version, p.memory, p.time, p.threads)
}

type argon2idHash struct {
	argon2idParams
	salt, tag []byte
}

// parseArgon2id reads a PHC string. It is accepted if it re-encodes to itself:
// that leaves no room for other orders, spaces, signs, leading zeros, padding
// or line breaks, whatever the parsers of the parts put up with.
func parseArgon2id(s string) (a argon2idHash, ok bool) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || len(s) > maxStoredHash {
		return a, false
	}
	_, errParams := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads)
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[4])
	tag, errTag := base64.RawStdEncoding.DecodeString(parts[5])
	if errParams != nil || errSalt != nil || errTag != nil {
		return a, false
	}
	a.salt, a.tag = salt, tag
	sized := len(salt) >= minSalt && len(salt) <= maxSalt && len(tag) >= minTag && len(tag) <= maxTag
	return a, sized && a.bounded() && a.encode() == s
}

func (a argon2idHash) encode() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return a.String() + "$" + b64(a.salt) + "$" + b64(a.tag)
}

func (a argon2idHash) sum(password string, n int) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, uint32(n))
}

// matches compares the exact bytes, as reference implementations do.
func (a argon2idHash) matches(password string) bool {
	return subtle.ConstantTimeCompare(a.sum(password, len(a.tag)), a.tag) == 1
}

func (a argon2idHash) stored() storedHash {
	return storedHash{class: a.String(), cost: int(a.memory * a.time), match: func(password string) bool {
		return a.matches(norm.NFC.String(password))
	}}
}

// bcryptHash is a hash to check, never to make.
type bcryptHash struct {
	text string
	cost int
}

const (
	bcryptBytes   = 60
	bcryptMaxKey  = 72
	minBcryptCost = 4
	maxBcryptCost = 15 // about 2 s; the format goes up to 31, which takes days
	// bcryptMicros is about what one round of cost takes.
	bcryptMicros   = 70
	bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseBcrypt accepts $2a$, $2b$ and $2y$, which are the same function for all
// passwords that verify lets through. $2$ and $2x$ are not: they mark hashes of
// implementations with known collisions.
func parseBcrypt(s string) (bcryptHash, bool) {
	if len(s) != bcryptBytes || s[6] != '$' || strings.Trim(s[7:], bcryptAlphabet) != "" {
		return bcryptHash{}, false
	}
	switch s[:4] {
	case "$2a$", "$2b$", "$2y$":
	default:
		return bcryptHash{}, false
	}
	var cost int
	_, err := fmt.Sscanf(s[4:6], "%d", &cost)
	ok := err == nil && fmt.Sprintf("%02d", cost) == s[4:6] && cost >= minBcryptCost && cost <= maxBcryptCost
	return bcryptHash{s, cost}, ok
}

// matches answers as other implementations do: by the first 72 bytes alone.
func (b bcryptHash) matches(password string) bool {
	key := []byte(password[:min(len(password), bcryptMaxKey)])
	return bcrypt.CompareHashAndPassword([]byte(b.text), key) == nil
}

// stored closes two traps: all passwords with the same first 72 bytes match
// the same hash, and so do "x", "x\x00x" and so on, because the key is repeated
// with a NUL in between. Neither kind is accepted. The hash is computed all the
// same, so that the time doesn't tell that the account has a bcrypt hash.
func (b bcryptHash) stored() storedHash {
	return storedHash{class: fmt.Sprintf("bcrypt %d", b.cost), cost: bcryptMicros << b.cost, match: func(password string) bool {
		ok := b.matches(password)
		return ok && len(password) <= bcryptMaxKey && strings.IndexByte(password, 0) < 0
	}}
}
