package jwtauth

// These tests are internal because raw signatures are: the exported API signs
// whole tokens, and its gate refuses most of what is tried here earlier.

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func vectorKeys(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/jwt/test_keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]string
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// vectorKey loads one of the keys hs-1, rs-1 and es-1, or a public half.
func vectorKey(t testing.TB, alg string, public bool) Key {
	t.Helper()
	keys := vectorKeys(t)
	kind := "private"
	if public {
		kind = "public"
	}
	var k Key
	var err error
	switch alg {
	case algHS256:
		secret, _ := hex.DecodeString(keys["hs256_hex"])
		k, err = HS256("hs-1", secret)
	case algRS256:
		k, err = RS256("rs-1", []byte(keys["rsa_"+kind+"_pem"]))
	case algES256:
		k, err = ES256("es-1", []byte(keys["p256_"+kind+"_pem"]))
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignAndVerify(t *testing.T) {
	input := []byte("eyJhbGciOiJub25lIn0.e30")
	for _, alg := range []string{algHS256, algRS256, algES256} {
		t.Run(alg, func(t *testing.T) {
			k := vectorKey(t, alg, false)
			verifier := vectorKey(t, alg, alg != algHS256)
			sig, err := k.sign(input)
			if err != nil || verifier.verify(input, sig) != nil || k.verify(input, sig) != nil {
				t.Fatalf("the signature is refused: %v", err)
			}
			for name, bad := range map[string][]byte{
				"no signature": nil, "one byte less": sig[:len(sig)-1], "one byte more": append(sig[:len(sig):len(sig)], 0),
				"a zero in front": append([]byte{0}, sig...), "zeros": make([]byte, len(sig)),
			} {
				if k.verify(input, bad) == nil {
					t.Errorf("%s accepted", name)
				}
			}
			for i := range sig {
				sig[i] ^= 1
				if k.verify(input, sig) == nil {
					t.Errorf("accepted with a bit of byte %d changed", i)
				}
				sig[i] ^= 1
			}
			if k.verify(append(input, '.'), sig) == nil || k.verify(nil, sig) == nil {
				t.Error("accepted for another input")
			}
			if _, err := verifier.sign(input); err == nil && alg != algHS256 {
				t.Error("a public key signed")
			}
		})
	}
	if _, err := (Key{}).sign(input); err == nil || (Key{}).verify(input, nil) == nil {
		t.Error("the zero Key signed or verified")
	}
}

func TestDegenerateES256SignaturesRefused(t *testing.T) {
	k := vectorKey(t, algES256, false)
	input := []byte("header.payload")
	good, err := k.sign(input)
	if err != nil {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	n := new(big.Int).SetBytes(p256Order)
	minus1 := new(big.Int).Sub(n, big.NewInt(1))
	pair := func(r, s *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	digest := sha256.Sum256(input)
	der, err := ecdsa.SignASN1(rand.Reader, k.m.signKey.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	zero, all := new(big.Int), new(big.Int).SetBytes([]byte(strings.Repeat("\xff", 32)))
	for name, sig := range map[string][]byte{
		"DER": der, "DER cut to 64 bytes": der[:64], "r = 0": pair(zero, s), "s = 0": pair(r, zero), "both 0": pair(zero, zero),
		"r = n": pair(n, s), "s = n": pair(r, n), "r = n-1": pair(minus1, s), "s = n-1": pair(r, minus1), "both n": pair(n, n),
		"all ones": pair(all, all), "swapped": pair(s, r), "r = 1, s = 1": pair(big.NewInt(1), big.NewInt(1)),
	} {
		t.Run(name+" refused", func(t *testing.T) {
			if k.verify(input, sig) == nil {
				t.Error("accepted")
			}
		})
	}
	// ECDSA is malleable, and RFC 7518 does not forbid the twin: nothing may
	// depend on a signature being the only one. Revocation goes by jti.
	if k.verify(input, pair(r, new(big.Int).Sub(n, s))) != nil {
		t.Error("the high-s twin is refused, so comments elsewhere are wrong")
	}
}

// A value of r or s beyond n-1 that is congruent to a good one fits in 32 bytes
// only if it is small, so the range is tested by itself.
// JSON has U+FFFD for what is not UTF-8: the token used to speak for somebody else.
func TestSignRefusesTextThatJSONChanges(t *testing.T) {
	now := time.Unix(1767225600, 0)
	good := func() Claims {
		return Claims{Issuer: "i", Subject: "a\u00e9\ufffd", Audience: []string{"i", "\u00e9"}, ID: "x", SessionID: "s", Generation: 1,
			Roles: []string{"r"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	key := vectorKey(t, algHS256, false)
	if _, err := sign(key, typeAccess, good(), nil); err != nil {
		t.Errorf("text outside ASCII: %v", err)
	}
	for name, spoil := range map[string]func(*Claims){
		"issuer":   func(c *Claims) { c.Issuer = "i\xff" },
		"subject":  func(c *Claims) { c.Subject = "a\xff" },
		"audience": func(c *Claims) { c.Audience[1] = "\xc3" },
		"id":       func(c *Claims) { c.ID = "\xed\xa0\x80" },
		"session":  func(c *Claims) { c.SessionID = "s\xff" },
		"role":     func(c *Claims) { c.Roles[0] = "r\xff" },
	} {
		c := good()
		spoil(&c)
		if _, err := sign(key, typeAccess, c, nil); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestScalarRange(t *testing.T) {
	n := new(big.Int).SetBytes(p256Order)
	for _, c := range []struct {
		name string
		v    *big.Int
		ok   bool
	}{
		{"0 refused", new(big.Int), false},
		{"1 accepted", big.NewInt(1), true},
		{"n-1 accepted", new(big.Int).Sub(n, big.NewInt(1)), true},
		{"n refused", n, false},
		{"n+1 refused", new(big.Int).Add(n, big.NewInt(1)), false},
		{"2^256-1 refused", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if validScalar(c.v.FillBytes(make([]byte, 32))) != c.ok {
				t.Error("wrong")
			}
		})
	}
}

// The signatures of RFC 7515, appendix A, verify at this layer. The secret of
// A.1 is a published sample, which HS256 refuses; here it passes by.
func TestRFC7515Signatures(t *testing.T) {
	data, err := os.ReadFile("testdata/jose/rfc7515_appendix_a.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Examples []struct {
			ID, Alg, JWS string
			JWK          map[string]json.RawMessage
			Valid        bool `json:"signature_valid"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, ex := range file.Examples {
		if ex.JWK == nil {
			continue
		}
		t.Run(ex.ID, func(t *testing.T) {
			tried++
			var k Key
			var err error
			if ex.Alg == algHS256 {
				var secret []byte
				secret, err = base64.RawURLEncoding.DecodeString(textMember(ex.JWK, "k"))
				if _, err := HS256("k", secret); err == nil {
					t.Error("the published secret was accepted")
				}
				k, _ = newKey("k", secret, nil)
			} else {
				ex.JWK["kid"] = json.RawMessage(`"k"`)
				k, err = publicKeyFromJWK(ex.JWK)
			}
			if err != nil || k.Algorithm() != ex.Alg {
				t.Fatalf("got %v, %v", k, err)
			}
			dot := strings.LastIndexByte(ex.JWS, '.')
			sig, _ := base64.RawURLEncoding.DecodeString(ex.JWS[dot+1:])
			if got := k.verify([]byte(ex.JWS[:dot]), sig); (got == nil) != ex.Valid {
				t.Errorf("got %v", got)
			}
		})
	}
	if tried != 3 {
		t.Errorf("%d examples were tried, not 3", tried)
	}
}

func TestSelfTestCatchesAForeignPrivateHalf(t *testing.T) {
	keys := vectorKeys(t)
	mine, err1 := parsePEM([]byte(keys["p256_private_pem"]))
	other, err2 := parsePEM([]byte(keys["p256_attacker_public_pem"]))
	rsaMine, err3 := parsePEM([]byte(keys["rsa_private_pem"]))
	rsaOther, err4 := parsePEM([]byte(keys["rsa_attacker_public_pem"]))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatal(err1, err2, err3, err4)
	}
	if _, err := newKey("k", mine, other.(*ecdsa.PublicKey)); err == nil {
		t.Error("ES256 accepted")
	}
	if _, err := newKey("k", rsaMine, rsaOther.(*rsa.PublicKey)); err == nil {
		t.Error("RS256 accepted")
	}
}

func TestKeySetLookups(t *testing.T) {
	hs, es := vectorKey(t, algHS256, false), vectorKey(t, algES256, false)
	set, err := NewKeySet(es, hs)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := set.signing(); !ok || k != es || !set.canSign() {
		t.Errorf("signing is %v, %v", k, ok)
	}
	if k, ok := set.lookup("hs-1"); !ok || k != hs {
		t.Errorf("lookup is %v, %v", k, ok)
	}
	for _, kid := range []string{"", "hs", "HS-1", "hs-1 ", "hs-1\x00", "hs-1\r\n", "../hs-1", "/etc/passwd", "hs-1' OR '1'='1",
		"https://attacker.test/keys", "ｈs-1", strings.Repeat("k", 4096)} {
		if k, ok := set.lookup(kid); ok || k != (Key{}) {
			t.Errorf("lookup of %q found %v", kid, k)
		}
	}
	if !set.holdsSecret(hs.m.secret) || set.holdsSecret(append([]byte{0}, hs.m.secret...)) || set.holdsSecret(nil) {
		t.Error("holdsSecret is wrong")
	}
	verifying, err := NewVerifyKeySet(es)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := verifying.signing(); ok || verifying.canSign() {
		t.Error("a set that verifies has a signing key")
	}
	var none *KeySet
	if _, ok := none.signing(); ok || none.canSign() || none.holdsSecret(nil) {
		t.Error("a nil set is not empty")
	}
	if _, ok := none.lookup(""); ok {
		t.Error("a nil set finds a key")
	}
}

func TestOnlyWhatSucceedsChangesASet(t *testing.T) {
	es, hs := vectorKey(t, algES256, false), vectorKey(t, algHS256, false)
	set, err := NewKeySet(es)
	if err != nil {
		t.Fatal(err)
	}
	before := set.load()
	for _, step := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"accept", func() error { return set.Accept(hs) }, true},
		{"accept again", func() error { return set.Accept(hs) }, false},
		{"rotate", func() error { return set.Rotate(hs) }, true},
		{"refused rotation", func() error { _ = set.Rotate(Key{}); return nil }, false},
		{"refused retirement", func() error { _ = set.Retire("hs-1"); return nil }, false},
		{"retire", func() error { return set.Retire("es-1") }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(step.name, err)
		}
		if after := set.load(); (after != before) != step.changes {
			t.Errorf("%s: changed %t", step.name, !step.changes)
		}
		before = set.load()
	}
}

// Caches compare Keys, so one that did not change has to stay the same value.
func TestReloadKeepsTheKeysThatStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	set, err := OpenKeys(dir, algHS256)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := set.signing()
	if _, err := AddKey(dir, algHS256); err != nil {
		t.Fatal(err)
	}
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	if k, ok := set.lookup(old.ID()); !ok || k != old {
		t.Error("the key that stayed is another Key")
	}
	// A private half that arrives later is a change, though: it can sign.
	private, public := vectorKey(t, algES256, false), vectorKey(t, algES256, true)
	st, err := newKeyState(false, []Key{public})
	if err != nil {
		t.Fatal(err)
	}
	if st.held(private) != private {
		t.Error("the public half took the place of the private one")
	}
}

// What a change replaced goes on unchanged for those who loaded it before.
func TestStatesAreImmutable(t *testing.T) {
	es, hs := vectorKey(t, algES256, false), vectorKey(t, algHS256, false)
	rs := vectorKey(t, algRS256, false)
	given := []Key{es, hs, rs}
	set, err := NewVerifyKeySet(given...)
	if err != nil {
		t.Fatal(err)
	}
	before := set.load()
	given[0] = Key{}
	if err := set.Retire("es-1"); err != nil {
		t.Fatal(err)
	}
	if len(before.keys) != 3 || before.keys[0] != es || before.keys[1] != hs || before.keys[2] != rs || before.byID["es-1"] != es {
		t.Errorf("the former state is now %v", before.keys)
	}
}

func FuzzKeyVerify(f *testing.F) {
	keys := []Key{vectorKey(f, algHS256, false), vectorKey(f, algRS256, true), vectorKey(f, algES256, true)}
	f.Add([]byte("a.b"), make([]byte, 64))
	f.Add([]byte(""), make([]byte, 256))
	f.Add([]byte("a.b"), []byte{})
	f.Fuzz(func(t *testing.T, input, sig []byte) {
		for _, k := range keys {
			if k.verify(input, sig) == nil {
				t.Errorf("%v verified a signature that nobody made", k)
			}
		}
	})
}

func FuzzCheckSecret(f *testing.F) {
	f.Add([]byte("your-256-bit-secret"))
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, secret []byte) {
		if checkSecret(secret) == nil && len(secret) < minSecret {
			t.Error("a short secret passed")
		}
		if checkSecret(append(secret, secret...)) == nil && len(secret) < minSecret {
			t.Error("a short secret passed when it was repeated")
		}
	})
}

func BenchmarkKeys(b *testing.B) {
	input := make([]byte, 400)
	for _, alg := range []string{algHS256, algRS256, algES256} {
		k := vectorKey(b, alg, false)
		sig, _ := k.sign(input)
		b.Run(alg+"/sign", func(b *testing.B) {
			for b.Loop() {
				_, _ = k.sign(input)
			}
		})
		b.Run(alg+"/verify", func(b *testing.B) {
			for b.Loop() {
				_ = k.verify(input, sig)
			}
		})
	}
}
