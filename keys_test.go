package jwtauth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// testKeys reads the keys that the token vectors are signed with.
func vectorPEMs(t testing.TB) map[string]string {
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

func vectorSecret(t testing.TB, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(vectorPEMs(t)[name])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must returns the key of a constructor that has to succeed.
func mustKey(t testing.TB) func(jwtauth.Key, error) jwtauth.Key {
	t.Helper()
	return func(k jwtauth.Key, err error) jwtauth.Key {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
}

func wantRefused(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Fatalf("got error %v, want one with %q", err, part)
	}
}

func TestSecretsForHS256(t *testing.T) {
	random := vectorSecret(t, "hs256_hex")
	counting := make([]byte, 64)
	for i := range counting {
		counting[i] = byte(i)
	}
	der, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(
		vectorPEMs(t)["p256_public_pem"], "-----BEGIN PUBLIC KEY-----\n"), "\n-----END PUBLIC KEY-----\n"), "\n", ""))
	rfc7515, _ := base64.RawURLEncoding.DecodeString(
		"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	for _, c := range []struct {
		name    string
		secret  []byte
		refusal string // "" for accepted
	}{
		{"nothing refused", nil, "at least 32 bytes"},
		{"1 byte refused", random[:1], "at least 32 bytes"},
		{"16 bytes refused", random[:16], "at least 32 bytes"},
		{"31 bytes refused", random[:31], "at least 32 bytes"},
		{"32 bytes accepted", random, ""},
		{"64 bytes accepted", append(vectorSecret(t, "hs256_old_hex"), random...), ""},
		{"32 random bytes twice accepted", append(bytes.Clone(random), random...), ""},
		{"base64 text accepted", []byte(base64.StdEncoding.EncodeToString(random)), ""},
		{"hexadecimal text accepted", []byte(hex.EncodeToString(random)), ""},
		{"passphrase accepted", []byte("seven wet otters juggle plum-coloured anvils at dawn"), ""},
		{"zeros refused", make([]byte, 32), "pattern"},
		{"one byte again and again refused", bytes.Repeat([]byte("k"), 64), "pattern"},
		{"two bytes in turn refused", bytes.Repeat([]byte("ab"), 16), "pattern"},
		{"16 bytes twice refused", append(bytes.Clone(random[:16]), random[:16]...), "pattern"},
		{"16 bytes two and a half times refused", append(bytes.Repeat(random[:16], 2), random[:8]...), "pattern"},
		{"counting bytes refused", counting, "pattern"},
		{"counting digits refused", []byte(strings.Repeat("0123456789", 4)), "pattern"},
		{"private PEM refused", []byte(vectorPEMs(t)["rsa_private_pem"]), "another key"},
		{"public PEM refused", []byte(vectorPEMs(t)["rsa_public_pem"]), "another key"},
		{"public DER refused", der, "another key"},
		{"documentation secret refused", []byte("a-string-secret-at-least-256-bits-long"), "sample"},
		{"longer documentation secret refused", []byte("a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long"), "sample"},
		{"key of RFC 7515 refused", rfc7515, "sample"},
		{"text of the key of RFC 7515 refused", []byte("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"), "sample"},
		{"sample auth code, padded, refused", []byte("MY_SUPER_SECRET_AUTH_CODE_1234567"), "sample"},
		{"sample auth code, repeated, refused", []byte("MY_SUPER_SECRET_AUTH_CODE" + "MY_SUPER_SECRET_AUTH_CODE"), "pattern"},
		{"sample of the plugin, padded, refused", []byte("your-long-random-secure-string!!"), "sample"},
		{"short sample with a tail refused", []byte("your-256-bit-secret-0123456789-abc"), "sample"},
		{"two samples joined refused", []byte("your-256-bit-secretyour-512-bit-secret"), "sample"},
		{"sample in capitals refused", []byte("YOUR-LONG-RANDOM-SECURE-STRING-HERE"), "sample"},
		{"sample with long padding of one byte refused", append([]byte("your-256-bit-secret"), make([]byte, 64)...), "sample"},
		{"default of a product refused", []byte("your-super-secret-jwt-token-with-at-least-32-characters-long"), "sample"},
		{"sample before 32 random bytes accepted", append([]byte("secret"), random...), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := jwtauth.HS256("hs", c.secret)
			if c.refusal == "" {
				if err != nil || !k.CanSign() || k.Algorithm() != "HS256" || k.ID() != "hs" {
					t.Fatalf("got %v, %v", k, err)
				}
				return
			}
			wantRefused(t, err, c.refusal)
			if k != (jwtauth.Key{}) {
				t.Error("a refused secret made a key")
			}
			if len(c.secret) > 8 && strings.Contains(err.Error(), string(c.secret[:8])) {
				t.Error("the error shows the secret")
			}
		})
	}
}

// Public keys are texts that others know, in whatever way they are written.
func TestTextsOfPublicKeysAreNoSecrets(t *testing.T) {
	pems := vectorPEMs(t)
	inside := func(text string) string {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		return strings.Join(lines[1:len(lines)-1], "\n")
	}
	spki := inside(pems["p256_public_pem"])
	for name, text := range map[string]string{
		"PKIX without armour":              spki,
		"on one line":                      strings.ReplaceAll(spki, "\n", ""),
		"with CRLF and spaces around":      "\r\n " + strings.ReplaceAll(spki, "\n", "\r\n") + " \r\n",
		"base64url without padding":        strings.NewReplacer("+", "-", "/", "_", "=", "", "\n", "").Replace(spki),
		"RSA without armour":               inside(pems["rsa_public_pem"]),
		"certificate without armour":       inside(certificate(t)),
		"JWK":                              `{ "kty" : "EC", "crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		"OpenSSH Ed25519":                  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJ8VBzGjbRYpDx0zcF6ZpIIPSGFj6fRbnWzLUhG6Syw host",
		"OpenSSH Ed25519 without its name": "AAAAC3NzaC1lZDI1NTE5AAAAIKJ8VBzGjbRYpDx0zcF6ZpIIPSGFj6fRbnWzLUhG6Syw",
		"OpenSSH ECDSA":                    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBH/Nzidw9sRdQYPL7m/bS3tYBzM1e+nvE7rPbjx70VRF",
		"OpenSSH on a token":               "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIKJ8VBzGjbRYpDx0zcF6ZpIIPSGFj6fR host",
		"SSH2":                             "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAADAQABAAABAQDx0zcF6ZpIIPSGFj6fRbnWzLUhG6Syw\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwtauth.HS256("k", []byte(text))
			wantRefused(t, err, "text of another key")
		})
	}
	for _, good := range [][]byte{testSecret, []byte("kM3v+Qy8/1ZsT0pL9wXe5RbN7uJhGc2DfA4iOoEaVtU="), []byte("q7Rk-2mZx_V9bTnYw4Lc8sHd1EfJg6Up-0aKoBiMvXz")} {
		mustKey(t)(jwtauth.HS256("k", good))
	}
}

// HMAC puts zeros behind a short secret and hashes a long one, so two that differ
// may be one key, which could be retired and still be there.
func TestSecretsThatHMACTakesForOneAreOneKey(t *testing.T) {
	short := vectorSecret(t, "hs256_hex")
	long := bytes.Join([][]byte{short, testSecret, short}, nil)
	sum := sha256.Sum256(long)
	for name, pair := range map[string][2][]byte{
		"zero behind it":       {short, append(bytes.Clone(short), 0)},
		"zeros up to 64 bytes": {testSecret, append(bytes.Clone(testSecret), make([]byte, 64-len(testSecret))...)},
		"hash of a long one":   {long, sum[:]},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := mustKey(t)(jwtauth.HS256("a", pair[0])), mustKey(t)(jwtauth.HS256("b", pair[1]))
			_, err := jwtauth.NewKeySet(a, b)
			wantRefused(t, err, "are the same key")
			cfg := testConfig(t)
			cfg.Keys, cfg.Secret = must(jwtauth.NewKeySet(a))(t), pair[1]
			if _, err := jwtauth.New(cfg); err == nil {
				t.Error("New accepted a Secret that is a key as well")
			}
		})
	}
	a := mustKey(t)(jwtauth.HS256("a", testSecret))
	b := mustKey(t)(jwtauth.HS256("b", append(bytes.Clone(testSecret), make([]byte, 65-len(testSecret))...)))
	if _, err := jwtauth.NewKeySet(a, b); err != nil {
		t.Errorf("65 bytes are hashed, and another key: %v", err)
	}
}

func TestHS256KeepsItsOwnCopy(t *testing.T) {
	secret := vectorSecret(t, "hs256_hex")
	a := mustKey(t)(jwtauth.HS256("a", secret))
	clear(secret)
	b := mustKey(t)(jwtauth.HS256("b", vectorSecret(t, "hs256_hex")))
	if _, err := jwtauth.NewKeySet(a, b); err == nil {
		t.Error("the key changed with the caller's slice")
	}
}

func TestKeyIDs(t *testing.T) {
	for _, c := range []struct {
		name, kid string
		ok        bool
	}{
		{"one letter accepted", "k", true},
		{"every allowed character accepted", "aZ09_-.:/", true},
		{"128 characters accepted", strings.Repeat("k", 128), true},
		{"empty refused", "", false},
		{"129 characters refused", strings.Repeat("k", 129), false},
		{"space refused", "a b", false},
		{"line break refused", "a\nb", false},
		{"NUL refused", "a\x00", false},
		{"quote refused", `a"b`, false},
		{"backslash refused", `a\b`, false},
		{"at sign refused", "a@b", false},
		{"bracket after the letters refused", "a[", false},
		{"brace after the letters refused", "a{", false},
		{"accented letter refused", "é", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := jwtauth.HS256(c.kid, vectorSecret(t, "hs256_hex"))
			_, errPEM := jwtauth.ES256(c.kid, []byte(vectorPEMs(t)["p256_private_pem"]))
			if (err == nil) != c.ok || (errPEM == nil) != c.ok {
				t.Errorf("got %v and %v", err, errPEM)
			}
		})
	}
}

// block encodes DER as one PEM block.
func block(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func parsePrivate(t testing.TB, text string) any {
	t.Helper()
	b, _ := pem.Decode([]byte(text))
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPEMAccepted(t *testing.T) {
	keys := vectorPEMs(t)
	r := parsePrivate(t, keys["rsa_private_pem"]).(*rsa.PrivateKey)
	e := parsePrivate(t, keys["p256_private_pem"]).(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(e)
	for _, c := range []struct {
		name, pem string
		load      func(string, []byte) (jwtauth.Key, error)
		signs     bool
	}{
		{"RSA in PKCS #8", keys["rsa_private_pem"], jwtauth.RS256, true},
		{"RSA in PKCS #1", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil), jwtauth.RS256, true},
		{"public RSA in PKIX", keys["rsa_public_pem"], jwtauth.RS256, false},
		{"public RSA in PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey), nil), jwtauth.RS256, false},
		{"EC in PKCS #8", keys["p256_private_pem"], jwtauth.ES256, true},
		{"EC in SEC 1", block("EC PRIVATE KEY", sec1, err), jwtauth.ES256, true},
		{"public EC in PKIX", keys["p256_public_pem"], jwtauth.ES256, false},
		{"CRLF line ends", strings.ReplaceAll(keys["p256_private_pem"], "\n", "\r\n"), jwtauth.ES256, true},
		{"blank lines around", "\r\n \n" + keys["p256_private_pem"] + "\n\t\r\n", jwtauth.ES256, true},
		{"no line break at the end", strings.TrimSpace(keys["p256_private_pem"]), jwtauth.ES256, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := mustKey(t)(c.load("k1", []byte(c.pem)))
			if k.CanSign() != c.signs || k.ID() != "k1" {
				t.Errorf("got %v, CanSign %v", k, k.CanSign())
			}
			public, err := k.PublicPEM()
			want := keys["rsa_public_pem"]
			if k.Algorithm() == "ES256" {
				want = keys["p256_public_pem"]
			}
			if err != nil || string(public) != want {
				t.Errorf("PublicPEM is %s, %v", public, err)
			}
		})
	}
}

func TestPEMRefused(t *testing.T) {
	keys := vectorPEMs(t)
	es, rs := jwtauth.ES256, jwtauth.RS256
	legacy := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}}
	headers := &pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x"), Headers: map[string]string{"A": "b"}}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	edDER, edErr := x509.MarshalPKCS8PrivateKey(ed)
	p256 := keys["p256_private_pem"]
	for _, c := range []struct {
		name, pem, refusal string
		load               func(string, []byte) (jwtauth.Key, error)
	}{
		{"empty text", "", "no PEM block", es},
		{"text without a block", "hello", "no PEM block", es},
		{"damaged base64", strings.Replace(p256, "MIGH", "M*GH", 1), "damaged", es},
		{"missing end", strings.Split(p256, "-----END")[0], "damaged", es},
		{"text before", "# my key\n" + p256, "before", es},
		{"byte order mark", "\ufeff" + p256, "before", es},
		{"text after", p256 + "x\n", "after", es},
		{"two blocks", p256 + keys["p256_public_pem"], "more than one", es},
		{"damaged block before a good one", "-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----\n" + p256, "more than one", es},
		{"cut-off block before a good one", "-----BEGIN PRIVATE KEY-----\nMIGH\n" + p256, "more than one", es},
		{"EC parameters before the key", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + p256, "-noout", es},
		{"encrypted PKCS #8", block("ENCRYPTED PRIVATE KEY", []byte("x"), nil), "encrypted", rs},
		{"encrypted PKCS #1", string(pem.EncodeToMemory(legacy)), "encrypted", rs},
		{"headers", string(pem.EncodeToMemory(headers)), "headers", rs},
		{"certificate", certificate(t), "certificate", es},
		{"unknown kind of block", block("OPENSSH PRIVATE KEY", []byte("x"), nil), "neither", es},
		{"garbage in the block", block("PRIVATE KEY", []byte("x"), nil), "can't be read", es},
		{"nothing in the block", block("PRIVATE KEY", nil, nil), "can't be read", es},
		{"more than 64 KiB", p256 + strings.Repeat("\n", 64<<10), "64 KiB", es},
		{"10 MiB", "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("A", 10<<20), "64 KiB", rs},
		{"EC key for RS256", p256, "an EC key", rs},
		{"public EC key for RS256", keys["p256_public_pem"], "an EC key", rs},
		{"RSA key for ES256", keys["rsa_private_pem"], "an RSA key", es},
		{"Ed25519 key", block("PRIVATE KEY", edDER, edErr), "another kind", es},
		{"P-384", keys["p384_private_pem"], "P-256", es},
		{"public P-384", keys["p384_public_pem"], "P-256", es},
		{"P-224", curvePEM(elliptic.P224()), "P-256", es},
		{"P-521", curvePEM(elliptic.P521()), "P-256", es},
		{"secp256k1", keys["k256_private_pem"], "can't be read", es},
		{"public secp256k1", keys["k256_public_pem"], "can't be read", es},
		{"point not on the curve", tamperedPoint(t, func(p []byte) []byte { p[64] ^= 1; return p }), "can't be read", es},
		{"point at infinity", tamperedPoint(t, func([]byte) []byte { return []byte{0} }), "can't be read", es},
		{"point of zeros", tamperedPoint(t, func(p []byte) []byte { clear(p[1:]); return p }), "can't be read", es},
		{"EC file with another's public half", otherPoint(t), "does not match", es},
		{"RSA with 1024 bits", keys["rsa1024_private_pem"], "1024 bits", rs},
		{"public RSA with 1024 bits", keys["rsa1024_public_pem"], "1024 bits", rs},
	} {
		t.Run(c.name+" refused", func(t *testing.T) {
			start := time.Now()
			k, err := c.load("k1", []byte(c.pem))
			wantRefused(t, err, c.refusal)
			if k != (jwtauth.Key{}) {
				t.Error("a refused PEM made a key")
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func certificate(t *testing.T) string {
	key := parsePrivate(t, vectorPEMs(t)["p256_private_pem"]).(*ecdsa.PrivateKey)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	return block("CERTIFICATE", der, err)
}

func curvePEM(c elliptic.Curve) string {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalECPrivateKey(k)
	return block("EC PRIVATE KEY", der, err)
}

// tamperedPoint returns the PEM of a public key whose point is changed by f.
func tamperedPoint(t *testing.T, f func([]byte) []byte) string {
	b, _ := pem.Decode([]byte(vectorPEMs(t)["p256_public_pem"]))
	var info struct {
		Algo  pkix.AlgorithmIdentifier
		Point asn1.BitString
	}
	if _, err := asn1.Unmarshal(b.Bytes, &info); err != nil {
		t.Fatal(err)
	}
	p := f(bytes.Clone(info.Point.Bytes))
	info.Point = asn1.BitString{Bytes: p, BitLength: 8 * len(p)}
	der, err := asn1.Marshal(info)
	return block("PUBLIC KEY", der, err)
}

// otherPoint returns a private key in PKCS #8 with the point of another one.
func otherPoint(t *testing.T) string {
	mine, _ := pem.Decode([]byte(vectorPEMs(t)["p256_private_pem"]))
	other := parsePrivate(t, vectorPEMs(t)["p256_attacker_private_pem"]).(*ecdsa.PrivateKey)
	own := parsePrivate(t, vectorPEMs(t)["p256_private_pem"]).(*ecdsa.PrivateKey)
	from, err1 := own.PublicKey.Bytes()
	to, err2 := other.PublicKey.Bytes()
	return block("PRIVATE KEY", bytes.Replace(mine.Bytes, from, to, 1), errors.Join(err1, err2))
}

// publicRSA encodes any modulus and exponent, however bad.
func publicRSA(n, e *big.Int) string {
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, e})
	return block("RSA PUBLIC KEY", der, err)
}

// oddModulus returns a number with that many bits and no factor up to 701.
func oddModulus(t *testing.T, bits int) *big.Int {
	primorial := big.NewInt(2)
	for p := int64(3); p <= 701; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			primorial.Mul(primorial, big.NewInt(p))
		}
	}
	for {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		if err != nil {
			t.Fatal(err)
		}
		n.SetBit(n, bits-1, 1)
		if new(big.Int).GCD(nil, nil, n, primorial).Cmp(big.NewInt(1)) == 0 {
			return n
		}
	}
}

func TestRSAParameters(t *testing.T) {
	good := parsePrivate(t, vectorPEMs(t)["rsa_private_pem"]).(*rsa.PrivateKey)
	f4 := big.NewInt(65537)
	n2048 := oddModulus(t, 2048)
	p := good.Primes[0]
	for _, c := range []struct {
		name    string
		n, e    *big.Int
		refusal string
	}{
		{"512 bits refused", oddModulus(t, 512), f4, "512 bits"},
		{"2047 bits refused", oddModulus(t, 2047), f4, "2047 bits"},
		{"2048 bits accepted", n2048, f4, ""},
		{"8192 bits accepted", oddModulus(t, 8192), f4, ""},
		{"8193 bits refused", oddModulus(t, 8193), f4, "8193 bits"},
		{"16384 bits refused", oddModulus(t, 16384), f4, "16384 bits"},
		{"even modulus refused", new(big.Int).SetBit(n2048, 0, 0), f4, "even"},
		{"exponent 1 refused", good.N, big.NewInt(1), "exponent"},
		{"exponent 2 refused", good.N, big.NewInt(2), "exponent"},
		{"exponent 3 refused", good.N, big.NewInt(3), "exponent"},
		{"exponent 65535 refused", good.N, big.NewInt(65535), "exponent"},
		{"even exponent refused", good.N, big.NewInt(65538), "exponent"},
		{"exponent 65539 accepted", good.N, big.NewInt(65539), ""},
		{"exponent of 31 bits accepted", good.N, big.NewInt(1<<31 - 1), ""},
		{"exponent of 32 bits refused", good.N, big.NewInt(1<<31 + 1), ""},
		{"exponent of 65 bits refused", good.N, new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), f4), ""},
		{"small factor refused", new(big.Int).Mul(oddModulus(t, 2048), big.NewInt(691)), f4, "small factor"},
		{"square of a prime refused", new(big.Int).Mul(p, p), f4, "too close"},
		{"adjacent primes refused", new(big.Int).Mul(p, nextPrime(p)), f4, "too close"},
		{"ROCA modulus refused", new(big.Int).Mul(rocaPrime(t), rocaPrime(t)), f4, "ROCA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := jwtauth.RS256("k1", []byte(publicRSA(c.n, c.e)))
			switch {
			case strings.HasSuffix(c.name, "accepted"):
				if err != nil {
					t.Fatal(err)
				}
			default:
				wantRefused(t, err, c.refusal)
			}
		})
	}
}

func nextPrime(p *big.Int) *big.Int {
	for n := new(big.Int).Add(p, big.NewInt(2)); ; n.Add(n, big.NewInt(2)) {
		if n.ProbablyPrime(10) {
			return n
		}
	}
}

// rocaPrime makes a prime of 1024 bits of the form k·M + (65537^a mod M), where
// M is the product of the primes up to 701.
func rocaPrime(t *testing.T) *big.Int {
	m := big.NewInt(2)
	for p := int64(3); p <= 701; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	top := new(big.Int).Lsh(big.NewInt(1), 1024)
	for {
		a, err1 := rand.Int(rand.Reader, m)
		k, err2 := rand.Int(rand.Reader, new(big.Int).Div(top, m))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		p.Add(p, k.Mul(k, m))
		if p.BitLen() == 1024 && p.Bit(1022) == 1 && p.ProbablyPrime(10) {
			return p
		}
	}
}

func TestPrivateRSAMustFitItsPublicHalf(t *testing.T) {
	good := parsePrivate(t, vectorPEMs(t)["rsa_private_pem"]).(*rsa.PrivateKey)
	type pkcs1 struct {
		Version                   int
		N, E, D, P, Q, DP, DQ, QI *big.Int
	}
	one := big.NewInt(1)
	build := func(n, d, p, q *big.Int) string {
		mod := func(m *big.Int) *big.Int { return new(big.Int).Mod(d, new(big.Int).Sub(m, one)) }
		qi := new(big.Int).ModInverse(q, p)
		if qi == nil {
			qi = one
		}
		der, err := asn1.Marshal(pkcs1{0, n, big.NewInt(65537), d, p, q, mod(p), mod(q), qi})
		return block("RSA PRIVATE KEY", der, err)
	}
	p, q := good.Primes[0], good.Primes[1]
	if _, err := jwtauth.RS256("k1", []byte(build(good.N, good.D, p, q))); err != nil {
		t.Fatal("the sound key was refused:", err)
	}
	other := parsePrivate(t, vectorPEMs(t)["rsa_attacker_private_pem"]).(*rsa.PrivateKey)
	for name, text := range map[string]string{
		"another modulus refused":  build(other.N, good.D, p, q),
		"another exponent refused": build(good.N, new(big.Int).Add(good.D, big.NewInt(2)), p, q),
		"equal primes refused":     build(new(big.Int).Mul(p, p), good.D, p, p),
		"other primes refused":     build(good.N, good.D, other.Primes[0], other.Primes[1]),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jwtauth.RS256("k1", []byte(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestGenerateKey(t *testing.T) {
	for _, alg := range []string{"HS256", "RS256", "ES256"} {
		t.Run(alg+" signs", func(t *testing.T) {
			a, b := mustKey(t)(jwtauth.GenerateKey(alg)), mustKey(t)(jwtauth.GenerateKey(alg))
			if a.Algorithm() != alg || !a.CanSign() || len(a.ID()) != 43 {
				t.Errorf("got %v", a)
			}
			if _, err := jwtauth.NewKeySet(a, b); err != nil {
				t.Error("two generated keys do not differ:", err)
			}
		})
	}
	for _, alg := range []string{"", "none", "hs256", "HS512", "PS256", "EdDSA"} {
		t.Run(fmt.Sprintf("%q refused", alg), func(t *testing.T) {
			_, err := jwtauth.GenerateKey(alg)
			wantRefused(t, err, "HS256, RS256 or ES256")
		})
	}
}

// The id of RFC 7638, section 3.1, which everybody can compute.
func TestGeneratedIDIsTheThumbprint(t *testing.T) {
	dir := t.TempDir() + "/keys"
	k := mustKey(t)(jwtauth.AddKey(dir, "ES256"))
	text, err := os.ReadFile(dir + "/0001.pem")
	if err != nil {
		t.Fatal(err)
	}
	point, err := parsePrivate(t, string(text)).(*ecdsa.PrivateKey).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	sum := sha256Sum(fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`,
		enc.EncodeToString(point[1:33]), enc.EncodeToString(point[33:])))
	if want := enc.EncodeToString(sum); k.ID() != want {
		t.Errorf("id %s, want %s", k.ID(), want)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// A process whose randomness fails ends: it must not go on with a weak key.
func TestFailingRandomnessEndsTheProcess(t *testing.T) {
	if os.Getenv("JWTAUTH_FAILING_RANDOMNESS") != "" {
		rand.Reader = failingReader{}
		k, err := jwtauth.GenerateKey("HS256")
		fmt.Println("made", k, err)
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFailingRandomnessEndsTheProcess$")
	cmd.Env = append(os.Environ(), "JWTAUTH_FAILING_RANDOMNESS=1")
	if out, err := cmd.CombinedOutput(); err == nil || bytes.Contains(out, []byte("made")) {
		t.Errorf("the process went on: %s", out)
	}
}

func TestKeysShowNoSecret(t *testing.T) {
	secret := []byte("kqzvbn-9x!Wm+RtYp0L3cFhJ7sGd2aEo")
	hs := mustKey(t)(jwtauth.HS256("hs-1", secret))
	es := mustKey(t)(jwtauth.ES256("es-1", []byte(vectorPEMs(t)["p256_private_pem"])))
	set, err := jwtauth.NewKeySet(hs, es)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := parsePrivate(t, vectorPEMs(t)["p256_private_pem"]).(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(big.Int).SetBytes(scalar)
	hidden := []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprint(secret), "[]"), d.String(), d.Text(16)}
	holder := struct {
		Public  jwtauth.Key
		private jwtauth.Key
		set     *jwtauth.KeySet
	}{hs, es, set}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%t"} {
		fmt.Fprintf(&out, verb, hs)
		fmt.Fprintf(&out, verb, es)
		fmt.Fprintf(&out, verb, &hs)
		fmt.Fprintf(&out, verb, holder)
		fmt.Fprintf(&out, verb, []jwtauth.Key{hs, es})
		fmt.Fprintf(&out, verb, set)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "key", hs, "es", es, "holder", holder, "set", set)
	}
	js, err := json.Marshal([]any{hs, es, holder, set, map[string]jwtauth.Key{"k": hs}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(js)
	for _, h := range hidden {
		if strings.Contains(out.String(), h) {
			t.Errorf("%q is shown in\n%s", h, out.String())
		}
	}
	if got := fmt.Sprintf("%+v", hs); got != "HS256 key hs-1" {
		t.Errorf("%%+v is %q", got)
	}
	if js, _ := json.Marshal(es); string(js) != `{"alg":"ES256","kid":"es-1"}` {
		t.Errorf("JSON is %s", js)
	}
}

func TestZeroKeyIsRefusedEverywhere(t *testing.T) {
	var zero jwtauth.Key
	good := mustKey(t)(jwtauth.GenerateKey("ES256"))
	set, err := jwtauth.NewKeySet(good)
	if err != nil {
		t.Fatal(err)
	}
	_, signing := jwtauth.NewKeySet(zero)
	_, second := jwtauth.NewKeySet(good, zero)
	_, verifying := jwtauth.NewVerifyKeySet(zero)
	_, public := zero.PublicPEM()
	for name, err := range map[string]error{
		"NewKeySet": signing, "NewKeySet, second": second, "NewVerifyKeySet": verifying,
		"Rotate": set.Rotate(zero), "Accept": set.Accept(zero), "PublicPEM": public,
	} {
		if err == nil {
			t.Errorf("%s took the zero Key", name)
		}
	}
	if zero.ID() != "" || zero.Algorithm() != "" || zero.CanSign() || zero.String() != "zero key" {
		t.Errorf("the zero Key says %v", zero)
	}
}

func TestKeySetsRefused(t *testing.T) {
	keys := vectorPEMs(t)
	hs := mustKey(t)(jwtauth.HS256("hs", vectorSecret(t, "hs256_hex")))
	hsAgain := mustKey(t)(jwtauth.HS256("hs-2", vectorSecret(t, "hs256_hex")))
	hsSameID := mustKey(t)(jwtauth.HS256("hs", vectorSecret(t, "hs256_old_hex")))
	es := mustKey(t)(jwtauth.ES256("es", []byte(keys["p256_private_pem"])))
	esPublic := mustKey(t)(jwtauth.ES256("es-2", []byte(keys["p256_public_pem"])))
	rs := mustKey(t)(jwtauth.RS256("rs", []byte(keys["rsa_private_pem"])))
	rsPublic := mustKey(t)(jwtauth.RS256("rs-2", []byte(keys["rsa_public_pem"])))
	for _, c := range []struct {
		name    string
		make    func() (*jwtauth.KeySet, error)
		refusal string
	}{
		{"no key", func() (*jwtauth.KeySet, error) { return jwtauth.NewVerifyKeySet() }, "at least one"},
		{"two keys with one id", func() (*jwtauth.KeySet, error) { return jwtauth.NewKeySet(hs, hsSameID) }, "have the id"},
		{"one key twice", func() (*jwtauth.KeySet, error) { return jwtauth.NewKeySet(hs, hs) }, "have the id"},
		{"one secret under two ids", func() (*jwtauth.KeySet, error) { return jwtauth.NewKeySet(es, hs, hsAgain) }, "same key"},
		{"one EC key under two ids", func() (*jwtauth.KeySet, error) { return jwtauth.NewKeySet(es, esPublic) }, "same key"},
		{"one RSA key under two ids", func() (*jwtauth.KeySet, error) { return jwtauth.NewVerifyKeySet(rs, rsPublic) }, "same key"},
		{"public key to sign with", func() (*jwtauth.KeySet, error) { return jwtauth.NewKeySet(esPublic, hs) }, "can't sign"},
	} {
		t.Run(c.name+" refused", func(t *testing.T) {
			set, err := c.make()
			wantRefused(t, err, c.refusal)
			if set != nil {
				t.Error("a refused set was returned")
			}
		})
	}
	if _, err := jwtauth.NewKeySet(hs, es, rs); err != nil {
		t.Error("three algorithms side by side were refused:", err)
	}
}

func listed(s *jwtauth.KeySet) string {
	var ids []string
	for _, k := range s.Keys() {
		if k.Signing {
			k.ID += "*"
		}
		ids = append(ids, k.ID)
	}
	return strings.Join(ids, " ")
}

func TestRotation(t *testing.T) {
	pems := vectorPEMs(t)
	a := mustKey(t)(jwtauth.ES256("a", []byte(pems["p256_private_pem"])))
	aPublic := mustKey(t)(jwtauth.ES256("a", []byte(pems["p256_public_pem"])))
	b := mustKey(t)(jwtauth.ES256("b", []byte(pems["p256_attacker_private_pem"])))
	bPublic := mustKey(t)(jwtauth.ES256("b", []byte(pems["p256_attacker_public_pem"])))
	otherA := mustKey(t)(jwtauth.HS256("a", vectorSecret(t, "hs256_hex")))
	bRenamed := mustKey(t)(jwtauth.ES256("c", []byte(pems["p256_attacker_private_pem"])))
	set, err := jwtauth.NewKeySet(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		do      func() error
		refusal string
		want    string
	}{
		{"signing again with the same key changes nothing", func() error { return set.Rotate(a) }, "", "a*"},
		{"next key accepted beforehand", func() error { return set.Accept(bPublic) }, "", "a* b"},
		{"accepting twice changes nothing", func() error { return set.Accept(b) }, "", "a* b"},
		{"accepting the signing key changes nothing", func() error { return set.Accept(aPublic) }, "", "a* b"},
		{"public half can't be rotated to", func() error { return set.Rotate(bPublic) }, "can't sign", "a* b"},
		{"rotated to the accepted key", func() error { return set.Rotate(b) }, "", "b* a"},
		{"rolled back", func() error { return set.Rotate(a) }, "", "a* b"},
		{"rotated again", func() error { return set.Rotate(b) }, "", "b* a"},
		{"another key under a known id refused", func() error { return set.Rotate(otherA) }, "another key", "b* a"},
		{"another key under a known id not accepted", func() error { return set.Accept(otherA) }, "another key", "b* a"},
		{"known key under another id refused", func() error { return set.Rotate(bRenamed) }, "same key", "b* a"},
		{"signing key can't be retired", func() error { return set.Retire("b") }, "signing key", "b* a"},
		{"unknown key can't be retired", func() error { return set.Retire("x") }, "not_found", "b* a"},
		{"former key retired", func() error { return set.Retire("a") }, "", "b*"},
		{"retired id free for another key", func() error { return set.Rotate(otherA) }, "", "a* b"},
	} {
		err := step.do()
		if step.refusal == "" && err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.refusal != "" && (err == nil || !strings.Contains(err.Error(), step.refusal)) {
			t.Fatalf("%s: got %v, want %q", step.name, err, step.refusal)
		}
		if got := listed(set); got != step.want {
			t.Fatalf("%s: keys are %q, want %q", step.name, got, step.want)
		}
	}
	if err := set.Retire("x"); !errors.Is(err, jwtauth.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestSetsThatOnlyVerify(t *testing.T) {
	a := mustKey(t)(jwtauth.ES256("a", []byte(vectorPEMs(t)["p256_private_pem"])))
	b := mustKey(t)(jwtauth.GenerateKey("ES256"))
	set, err := jwtauth.NewVerifyKeySet(a)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, set.Rotate(b), "only verifies")
	wantRefused(t, set.Retire("a"), "at least one")
	if err := set.Accept(b); err != nil {
		t.Fatal(err)
	}
	if err := set.Retire("a"); err != nil {
		t.Fatal(err)
	}
	if got := listed(set); got != b.ID() {
		t.Errorf("keys are %q", got)
	}
}

func TestNilAndZeroSetsAreEmpty(t *testing.T) {
	k := mustKey(t)(jwtauth.GenerateKey("ES256"))
	for name, set := range map[string]*jwtauth.KeySet{"nil": nil, "zero": {}} {
		if got, err := set.JWKS(); err != nil || string(got) != `{"keys":[]}` {
			t.Errorf("%s: JWKS is %s, %v", name, got, err)
		}
		if len(set.Keys()) != 0 || set.Rotate(k) == nil || set.Retire("x") == nil || set.Reload() == nil {
			t.Errorf("%s: the set does something", name)
		}
	}
}

func TestJWKSHoldsPublicKeysOnly(t *testing.T) {
	pems := vectorPEMs(t)
	set, err := jwtauth.NewKeySet(
		mustKey(t)(jwtauth.RS256("rs-1", []byte(pems["rsa_private_pem"]))),
		mustKey(t)(jwtauth.ES256("es-1", []byte(pems["p256_private_pem"]))),
		mustKey(t)(jwtauth.HS256("hs-1", vectorSecret(t, "hs256_hex"))))
	if err != nil {
		t.Fatal(err)
	}
	text, err := set.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	r := parsePrivate(t, pems["rsa_private_pem"]).(*rsa.PrivateKey)
	point, _ := parsePrivate(t, pems["p256_private_pem"]).(*ecdsa.PrivateKey).PublicKey.Bytes()
	enc := base64.RawURLEncoding
	want := []map[string]string{
		{"kty": "RSA", "kid": "rs-1", "alg": "RS256", "use": "sig", "e": "AQAB", "n": enc.EncodeToString(r.N.Bytes())},
		{"kty": "EC", "kid": "es-1", "alg": "ES256", "use": "sig", "crv": "P-256",
			"x": enc.EncodeToString(point[1:33]), "y": enc.EncodeToString(point[33:])},
	}
	if fmt.Sprint(got.Keys) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got.Keys, want)
	}
	hsOnly, err := jwtauth.NewKeySet(mustKey(t)(jwtauth.HS256("hs-1", vectorSecret(t, "hs256_hex"))))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := hsOnly.JWKS(); err != nil || string(text) != `{"keys":[]}` {
		t.Errorf("the set of a secret is %s, %v", text, err)
	}
}

func TestRotationIsSeenWhileOthersRead(t *testing.T) {
	a, b := mustKey(t)(jwtauth.GenerateKey("ES256")), mustKey(t)(jwtauth.GenerateKey("ES256"))
	set, err := jwtauth.NewKeySet(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, k := range []jwtauth.Key{a, b, a, b} {
		wg.Go(func() {
			for range 200 {
				if err := set.Rotate(k); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				infos := set.Keys()
				if len(infos) != 2 || !infos[0].Signing || infos[1].Signing {
					t.Errorf("a reader saw %v", infos)
				}
			}
		})
	}
	wg.Wait()
}

func sha256Sum(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func FuzzPEM(f *testing.F) {
	for _, text := range vectorPEMs(f) {
		f.Add([]byte(text))
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, load := range []func(string, []byte) (jwtauth.Key, error){jwtauth.RS256, jwtauth.ES256} {
			k, err := load("k", text)
			if err != nil {
				continue
			}
			public, err := k.PublicPEM()
			if err != nil {
				t.Fatal(err)
			}
			again := mustKey(t)(load("k", public))
			if second, _ := again.PublicPEM(); !bytes.Equal(public, second) || again.CanSign() {
				t.Error("the public half does not survive a round trip")
			}
		}
	})
}
