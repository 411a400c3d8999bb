package jwtauth

// These tests are internal because the hasher is: what a login costs, and which
// hashes are computed, can't be seen from outside.

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// cheap are parameters for tests that are not about cost.
func cheap(change ...func(*PasswordConfig)) PasswordConfig {
	cfg := PasswordConfig{Memory: 8, Time: 1, InsecureForTests: true}
	for _, f := range change {
		f(&cfg)
	}
	return cfg.withDefaults()
}

func newTestHasher(t testing.TB, cfg PasswordConfig) *hasher {
	t.Helper()
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	return newHasher(cfg)
}

func mustHash(t testing.TB, h *hasher, password string) Secret {
	t.Helper()
	s, err := h.hash(t.Context(), "", password)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifyAs returns the answer of a check and how many hashes it computed.
func verifyAs(t testing.TB, h *hasher, stored Secret, password string) (bool, uint64) {
	t.Helper()
	slot, err := h.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer slot.release()
	before := h.computed()
	ok := slot.verify(stored, password)
	return ok, h.computed() - before
}

type hashVector struct {
	ID, Scheme, Hash, Note string
	PasswordHex            string `json:"password_hex"`
	Expect                 bool
}

func (v hashVector) password(t *testing.T) string {
	t.Helper()
	b, err := hex.DecodeString(v.PasswordHex)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readVectors[T any](t *testing.T, file string) T {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// matchesExactly is the answer to one stored hash and the exact bytes of a
// password, as the reference implementations of the scheme give it.
func matchesExactly(stored, password string) bool {
	if a, ok := parseArgon2id(stored); ok {
		return a.matches(password)
	}
	if b, ok := parseBcrypt(stored); ok {
		return b.matches(password)
	}
	return false
}

// The vectors hold the answers of reference implementations. Ours differ from
// them where design and policy say so: the empty password and one over 1,024
// bytes never match, and neither does one that bcrypt would cut.
func TestPasswordHashVectors(t *testing.T) {
	t.Parallel()
	file := readVectors[struct{ Cases []hashVector }](t, "passwords/password_hash_kat.json")
	if len(file.Cases) != 116 {
		t.Fatalf("%d cases, want 116", len(file.Cases))
	}
	for _, v := range file.Cases {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			h := newTestHasher(t, cheap()) // one each: what it learns is dear
			password := v.password(t)
			_, known := h.cfg.parseHash(v.Hash)
			if v.Scheme == "phpass" || v.Scheme == "wp-bcrypt" {
				if known {
					t.Error("a hash of a scheme without a verifier was accepted")
				}
				v.Expect = false
			}
			if !v.Expect && known && strings.Contains(v.ID, "bad") {
				t.Error("a hash that must be refused before any work would be computed")
			}
			if got := matchesExactly(v.Hash, password); got != v.Expect {
				t.Errorf("the reference answer is %v, ours %v", v.Expect, got)
			}
			want := v.Expect && password != "" && len(password) <= maxPassword && (v.Scheme != "bcrypt" || len(password) <= 72)
			if got, _ := verifyAs(t, h, Secret(v.Hash), password); got != want {
				t.Errorf("verify = %v, want %v", got, want)
			}
		})
	}
}

// The one argon2id row of the file has a secret and associated data, which
// golang.org/x/crypto does not offer and PHC strings do not carry. That nothing
// else concerns this package is checked, so that a new row is not overlooked.
func TestKDFVectorsForArgon2id(t *testing.T) {
	file := readVectors[struct {
		Kats []struct {
			Alg    string
			Secret string `json:"secret_hex"`
		}
	}](t, "passwords/kdf_kat.json")
	for _, k := range file.Kats {
		if k.Alg == "argon2id" && k.Secret == "" {
			t.Error("an argon2id row without a secret can be computed: do so")
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t, cheap())
	native := mustHash(t, h, "correct horse")
	const composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
	madeComposed, madeDecomposed := mustHash(t, h, composed), mustHash(t, h, decomposed)
	seventyTwo := strings.Repeat("y", 72)
	foreign := bcryptOf(t, seventyTwo)
	short := bcryptOf(t, "x")
	accented := bcryptOf(t, "caf\u00e9")

	for _, tt := range []struct {
		name     string
		stored   Secret
		password string
		want     bool
	}{
		{"right password accepted", native, "correct horse", true},
		{"wrong password refused", native, "correct hors", false},
		{"case is significant", native, "Correct horse", false},
		{"trailing space is significant", native, "correct horse ", false},
		{"leading space is significant", native, " correct horse", false},
		{"empty password refused", native, "", false},
		{"decomposed form of a composed password accepted", madeComposed, decomposed, true},
		{"composed form of a decomposed password accepted", madeDecomposed, composed, true},
		{"compatibility form refused", native, "ｃorrect horse", false},
		{"password over 1,024 bytes refused", native, strings.Repeat("a", 1025), false},
		{"bcrypt: 72 bytes accepted", foreign, seventyTwo, true},
		{"bcrypt: 73 bytes with the right prefix refused", foreign, seventyTwo + "y", false},
		{"bcrypt: 1,024 bytes with the right prefix refused", foreign, strings.Repeat("y", 1024), false},
		{"bcrypt: repeated key with a NUL refused", short, "x\x00x", false},
		{"bcrypt: exact bytes accepted", accented, "caf\u00e9", true},
		{"bcrypt: other normal form refused", accented, "cafe\u0301", false},
		{"no hash refuses all", "", "correct horse", false},
		{"marker * refuses itself", "*", "*", false},
		{"marker *0 refuses itself", "*0", "*0", false},
		{"marker 0 refuses itself", "0", "0", false},
		{"marker ! refuses itself", "!", "!", false},
		{"locked hash refused", "!" + native, "correct horse", false},
		{"locked hash of the right length refused", "*" + native[1:], "correct horse", false},
		{"plain text refused", "correct horse battery", "correct horse battery", false},
		{"MD5 refused", "5f4dcc3b5aa765d61d8327deb882cf99", "password", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := verifyAs(t, h, tt.stored, tt.password); got != tt.want {
				t.Errorf("verify = %v, want %v", got, tt.want)
			}
		})
	}
}

func bcryptOf(t testing.TB, password string) Secret {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return Secret(b)
}

func TestArgon2idStrings(t *testing.T) {
	const salt, tag = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, tt := range []struct {
		name, hash string
		want       bool
	}{
		{"canonical string accepted", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag, true},
		{"dearest string accepted", "$argon2id$v=19$m=262144,t=4,p=16$" + salt + "$" + tag, true},
		{"more memory refused", "$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + tag, false},
		{"more passes refused", "$argon2id$v=19$m=256,t=17,p=1$" + salt + "$" + tag, false},
		{"more memory times passes refused", "$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + tag, false},
		{"more lanes refused", "$argon2id$v=19$m=256,t=2,p=17$" + salt + "$" + tag, false},
		{"lanes modulo 256 refused", "$argon2id$v=19$m=256,t=2,p=257$" + salt + "$" + tag, false},
		{"no lanes refused", "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + tag, false},
		{"less than 8 KiB a lane refused", "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + tag, false},
		{"leading zero refused", "$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + tag, false},
		{"plus sign refused", "$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + tag, false},
		{"hexadecimal refused", "$argon2id$v=19$m=0x100,t=2,p=1$" + salt + "$" + tag, false},
		{"further parameter refused", "$argon2id$v=19$m=256,t=2,p=1,keyid=1$" + salt + "$" + tag, false},
		{"further field refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag + "$", false},
		{"padding refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "=$" + tag, false},
		{"line break in the tag refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$nf65EOgL\nrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", false},
		{"spare bits in the tag refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/5", false},
		{"base64url refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$nf65EOgLrQMR_uIPnA4rEsF5h7TKyQwu9U1bMCHGi_4", false},
		{"salt of 6 bytes refused", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNh$" + tag, false},
		{"tag of 12 bytes refused", "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$nf65EOgLrQMR/uIP", false},
		{"version 16 refused", "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + tag, false},
		{"argon2d refused", "$argon2d$v=19$m=256,t=2,p=1$" + salt + "$" + tag, false},
		{"text in front refused", "x$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := parseArgon2id(tt.hash); got != tt.want {
				t.Errorf("parsed = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBcryptStrings(t *testing.T) {
	const rest = "Pzi7E.BvD0mj/bqsEycAIOlgNqwvZynFgv63CcnQNn.sBLxGxUw5m"
	for _, tt := range []struct {
		name, hash string
		want       bool
	}{
		{"$2a$ accepted", "$2a$10$" + rest, true},
		{"$2b$ accepted", "$2b$10$" + rest, true},
		{"$2y$ accepted", "$2y$10$" + rest, true},
		{"lowest cost accepted", "$2y$04$" + rest, true},
		{"highest cost accepted", "$2y$15$" + rest, true},
		{"$2x$ refused", "$2x$10$" + rest, false},
		{"$2$ refused", "$2$10$" + rest + "a", false},
		{"cost 3 refused", "$2y$03$" + rest, false},
		{"cost 16 refused", "$2y$16$" + rest, false},
		{"cost 31 refused", "$2y$31$" + rest, false},
		{"signed cost refused", "$2y$+9$" + rest, false},
		{"cost with a space refused", "$2y$ 9$" + rest, false},
		{"cost in one digit refused", "$2y$9$" + rest + "a", false},
		{"sign of another alphabet refused", "$2y$10$+" + rest[1:], false},
		{"sign of another alphabet inside refused", "$2y$10$" + rest[:20] + "$" + rest[21:], false},
		{"line break at the end refused", "$2y$10$" + rest[:52] + "\n", false},
		{"59 characters refused", "$2y$10$" + rest[1:], false},
		{"61 characters refused", "$2y$10$" + rest + "a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := parseBcrypt(tt.hash); got != tt.want {
				t.Errorf("parsed = %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzParseHash(f *testing.F) {
	b, err := os.ReadFile("testdata/passwords/password_hash_kat.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Cases []hashVector }
	if err := json.Unmarshal(b, &file); err != nil {
		f.Fatal(err)
	}
	for _, v := range file.Cases {
		f.Add(v.Hash)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hash, ok := cheap().parseHash(s)
		if !ok {
			return
		}
		if hash.cost < 1 || hash.cost > bcryptMicros<<maxBcryptCost {
			t.Errorf("cost %d out of bounds", hash.cost)
		}
		if a, ok := parseArgon2id(s); ok && a.encode() != s {
			t.Error("an accepted string does not re-encode to itself")
		}
	})
}

// foreignScheme stands for a scheme of another system. Its hashes are the
// password behind a prefix.
type foreignScheme struct {
	prefix string
	err    error
	run    func()
}

func (f foreignScheme) Recognizes(hash string) bool { return strings.HasPrefix(hash, f.prefix) }

func (f foreignScheme) Verify(hash, password string) (bool, error) {
	if f.run != nil {
		f.run()
	}
	return hash == f.prefix+password, f.err
}

func TestVerifiers(t *testing.T) {
	with := func(v ...PasswordVerifier) *hasher {
		return newTestHasher(t, cheap(func(c *PasswordConfig) { c.Verifiers = v }))
	}
	const stored = "$foreign$1$correct horse"
	for _, tt := range []struct {
		name     string
		h        *hasher
		stored   Secret
		password string
		want     bool
	}{
		{"hash without a verifier refused", with(), stored, "correct horse", false},
		{"right password accepted", with(foreignScheme{prefix: "$foreign$1$"}), stored, "correct horse", true},
		{"wrong password refused", with(foreignScheme{prefix: "$foreign$1$"}), stored, "horse", false},
		{"error of the verifier refuses", with(foreignScheme{prefix: "$foreign$1$", err: errors.New("broken")}), stored, "correct horse", false},
		{"second verifier asked", with(foreignScheme{prefix: "$other$"}, foreignScheme{prefix: "$foreign$1$"}), stored, "correct horse", true},
		{"marker never reaches a verifier", with(foreignScheme{prefix: ""}), "*0", "*0", false},
		{"marker without a sign never reaches a verifier", with(foreignScheme{prefix: ""}), "0", "0", false},
		{"empty hash never reaches a verifier", with(foreignScheme{prefix: ""}), "", "", false},
		{"locked hash never reaches a verifier", with(foreignScheme{prefix: ""}), "!correct horse", "!correct horse", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := verifyAs(t, tt.h, tt.stored, tt.password); got != tt.want {
				t.Errorf("verify = %v, want %v", got, tt.want)
			}
		})
	}
}

// A failed check has to cost the same for everybody, or its duration tells who
// has an account.
func TestFailedChecksComputeTheSame(t *testing.T) {
	const hostile = "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	only := newTestHasher(t, cheap())
	mixed := newTestHasher(t, cheap())
	imported := bcryptOf(t, "correct horse")
	configured := newTestHasher(t, cheap(func(c *PasswordConfig) { c.DearestHash = imported }))
	if ok, n := verifyAs(t, mixed, imported, "correct horse"); !ok || n != 1 {
		t.Fatalf("right password: %v after %d computations", ok, n)
	}
	for _, tt := range []struct {
		name string
		h    *hasher
		want uint64
		also Secret
	}{
		{"one scheme: one computation", only, 1, ""},
		{"foreign hash seen: one of each", mixed, 2, imported},
		{"foreign hash configured: one of each", configured, 2, imported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			native := mustHash(t, tt.h, "correct horse")
			for _, stored := range []Secret{native, tt.also, "", "*", "!" + native, hostile, "plain text, no hash"} {
				ok, n := verifyAs(t, tt.h, stored, "wrong horse")
				if ok || n != tt.want {
					t.Errorf("%.12s: %v after %d computations, want %d", string(stored), ok, n, tt.want)
				}
				if ok, n := verifyAs(t, tt.h, stored, strings.Repeat("y", 100)); ok || n != tt.want {
					t.Errorf("%.12s: long password: %d computations, want %d", string(stored), n, tt.want)
				}
				if ok, n := verifyAs(t, tt.h, stored, ""); ok || n != 0 {
					t.Errorf("%.12s: empty password: %d computations, want 0", string(stored), n)
				}
			}
		})
	}
}

func TestDearestForeignSchemeIsKept(t *testing.T) {
	h := newTestHasher(t, cheap())
	parse := func(s string) storedHash {
		hash, ok := h.cfg.parseHash(s)
		if !ok {
			t.Fatal("not a hash")
		}
		return hash
	}
	const rest = "$Pzi7E.BvD0mj/bqsEycAIOlgNqwvZynFgv63CcnQNn.sBLxGxUw5m"
	for _, step := range []struct{ hash, want string }{
		{"$2y$05" + rest, "bcrypt 5"},
		{"$2y$04" + rest, "bcrypt 5"},
		{string(mustHash(t, h, "correct horse")), "bcrypt 5"},
		{"$2y$12" + rest, "bcrypt 12"},
		{"$2y$10" + rest, "bcrypt 12"},
	} {
		h.learn(parse(step.hash))
		if got := h.foreign.Load().class; got != step.want {
			t.Errorf("after %.7s the dearest is %s, want %s", step.hash, got, step.want)
		}
	}
}

func TestNeedsRehash(t *testing.T) {
	h := newTestHasher(t, cheap(func(c *PasswordConfig) { c.Memory = 16 }))
	other := newTestHasher(t, cheap())
	for _, tt := range []struct {
		name   string
		stored Secret
		want   bool
	}{
		{"own hash kept", mustHash(t, h, "correct horse"), false},
		{"other parameters replaced", mustHash(t, other, "correct horse"), true},
		{"short salt replaced", "$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", true},
		{"bcrypt replaced", bcryptOf(t, "correct horse"), true},
		{"no hash replaced", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.needsRehash(tt.stored); got != tt.want {
				t.Errorf("needsRehash = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHash(t *testing.T) {
	h := newTestHasher(t, PasswordConfig{}.withDefaults())
	a, b := mustHash(t, h, "correct horse"), mustHash(t, h, "correct horse")
	if !strings.HasPrefix(string(a), "$argon2id$v=19$m=19456,t=2,p=1$") || len(a) != 97 {
		t.Errorf("default hash has the form %.31s and %d bytes", string(a), len(a))
	}
	if a == b {
		t.Error("two hashes have the same salt")
	}
	for _, password := range []string{"", strings.Repeat("a", 1025)} {
		if _, err := h.hash(t.Context(), "", password); !errors.Is(err, ErrWeakPassword) {
			t.Errorf("a password of %d bytes: %v", len(password), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(ctx, "", "correct horse"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	if h.computed() != 2 {
		t.Errorf("%d computations, want 2", h.computed())
	}
}

func TestPasswordConfigValidation(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  PasswordConfig
		want string // the field that is reported, "" for none
	}{
		{"zero value accepted", PasswordConfig{}, ""},
		{"equal choices of OWASP accepted", PasswordConfig{Memory: 7168, Time: 5}, ""},
		{"one pass over more memory accepted", PasswordConfig{Memory: 47104, Time: 1}, ""},
		{"less memory refused", PasswordConfig{Memory: 12288}, "Memory"},
		{"one pass refused", PasswordConfig{Time: 1}, "Memory"},
		{"less memory for tests accepted", PasswordConfig{Memory: 8, Time: 1, InsecureForTests: true}, ""},
		{"no memory for a lane refused even for tests", PasswordConfig{Memory: 8, Time: 1, Parallelism: 2, InsecureForTests: true}, "Memory"},
		{"memory beyond the ceiling refused", PasswordConfig{Memory: 262145}, "Memory"},
		{"memory beyond all bounds refused", PasswordConfig{Memory: math.MaxInt}, "Memory"},
		{"negative memory refused", PasswordConfig{Memory: -1}, "Memory"},
		{"passes beyond the ceiling refused", PasswordConfig{Time: 17}, "Time"},
		{"memory times passes beyond the ceiling refused", PasswordConfig{Memory: 262144, Time: 5}, "Memory"},
		{"lanes beyond the ceiling refused", PasswordConfig{Parallelism: 257}, "Parallelism"},
		{"short minimum refused", PasswordConfig{MinLength: 7}, "MinLength"},
		{"minimum of 15 accepted", PasswordConfig{MinLength: 15}, ""},
		{"minimum over 64 refused", PasswordConfig{MinLength: 65}, "MinLength"},
		{"negative concurrency refused", PasswordConfig{MaxConcurrent: -1}, "MaxConcurrent"},
		{"no queue accepted", PasswordConfig{MaxQueue: -1}, ""},
		{"endless wait refused", PasswordConfig{MaxWait: 2 * maxMaxWait}, "MaxWait"},
		{"nil verifier refused", PasswordConfig{Verifiers: []PasswordVerifier{nil}}, "Verifiers[0]"},
		{"example of an unknown scheme refused", PasswordConfig{DearestHash: "$unknown$1$abcdefgh"}, "DearestHash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cfg.withDefaults().validate()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "jwtauth: Config.Passwords."+tt.want+" ") {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	h := newTestHasher(b, PasswordConfig{}.withDefaults())
	b.ReportAllocs()
	for b.Loop() {
		mustHash(b, h, "correct horse")
	}
}

func BenchmarkVerify(b *testing.B) {
	h := newTestHasher(b, PasswordConfig{}.withDefaults())
	for _, bb := range []struct {
		name   string
		stored Secret
	}{
		{"argon2id", mustHash(b, h, "correct horse")},
		{"unknown user", ""},
		{"bcrypt 10", "$2y$10$Pzi7E.BvD0mj/bqsEycAIOlgNqwvZynFgv63CcnQNn.sBLxGxUw5m"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				verifyAs(b, h, bb.stored, "correct horse")
			}
		})
	}
}

func BenchmarkParseHash(b *testing.B) {
	h := newTestHasher(b, cheap())
	stored := string(mustHash(b, h, "correct horse"))
	for b.Loop() {
		h.cfg.parseHash(stored)
	}
}
