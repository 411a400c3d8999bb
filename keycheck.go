package jwtauth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// This file says which keys and secrets are refused before anything is signed
// or verified with them.

const (
	maxKeyID      = 128
	maxPEM        = 64 << 10
	minRSABits    = 2048
	maxRSABits    = 8192
	minRSAExpo    = 65537
	pemBegin      = "-----BEGIN "
	pemEnd        = "-----END "
	typePKCS8     = "PRIVATE KEY"
	typePKCS1     = "RSA PRIVATE KEY"
	typeSEC1      = "EC PRIVATE KEY"
	typePKIX      = "PUBLIC KEY"
	typePKCS1Pub  = "RSA PUBLIC KEY"
	typeEncrypted = "ENCRYPTED PRIVATE KEY"
)

// checkKeyID holds ids of our own keys to a rule that needs no escaping in
// JSON, logs and URLs.
func checkKeyID(kid string) error {
	if len(kid) < 1 || len(kid) > maxKeyID {
		return errors.New("the id must have 1 to 128 characters")
	}
	for _, c := range []byte(kid) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && !bytes.ContainsRune([]byte("_-.:/"), rune(c)) {
			return errors.New(`the id must consist of letters, digits and "_", "-", ".", ":" or "/"`)
		}
	}
	return nil
}

// parsePEM returns the one key in PEM text: an RSA or ECDSA key, private or
// public, or another kind that the caller refuses. Each thing that people put
// there by mistake has an error of its own.
func parsePEM(text []byte) (any, error) {
	if len(text) > maxPEM {
		return nil, errors.New("the PEM is longer than 64 KiB")
	}
	text = bytes.TrimSpace(text)
	switch begins := bytes.Count(text, []byte(pemBegin)); {
	case begins == 0:
		return nil, errors.New("there is no PEM block")
	case begins > 1 || bytes.Count(text, []byte(pemEnd)) > 1:
		return nil, errors.New(`there is more than one PEM block (openssl ecparam writes only the key with -noout)`)
	case !bytes.HasPrefix(text, []byte(pemBegin)):
		return nil, errors.New("there is text before the PEM block")
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the PEM block is damaged")
	}
	if len(rest) > 0 {
		return nil, errors.New("there is text after the PEM block")
	}
	return parseBlock(block)
}

func parseBlock(b *pem.Block) (any, error) {
	switch {
	case b.Type == typeEncrypted || b.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted: decrypt it first")
	case b.Type == "CERTIFICATE":
		return nil, errors.New("the PEM is a certificate: extract its public key first")
	case len(b.Headers) > 0:
		return nil, errors.New("the PEM block has headers")
	}
	raw, err := parseDER(b.Type, b.Bytes)
	if err != nil {
		// The parsers describe the structure and never quote the content.
		return nil, fmt.Errorf("the PEM block can't be read: %v", err)
	}
	if private, ok := raw.(*ecdsa.PrivateKey); ok {
		return raw, checkStoredPoint(b, private)
	}
	return raw, nil
}

func parseDER(kind string, der []byte) (any, error) {
	switch kind {
	case typePKCS8:
		return x509.ParsePKCS8PrivateKey(der)
	case typePKCS1:
		return x509.ParsePKCS1PrivateKey(der)
	case typeSEC1:
		return x509.ParseECPrivateKey(der)
	case typePKIX:
		return x509.ParsePKIXPublicKey(der)
	case typePKCS1Pub:
		return x509.ParsePKCS1PublicKey(der)
	}
	return nil, errors.New("it holds neither a private nor a public key")
}

// checkStoredPoint compares the public half in the file of a private EC key, an
// optional field of SEC 1, section C.4, with the one that follows from the
// private half. crypto/x509 passes over it, and a file whose halves differ is
// not what its owner believes.
func checkStoredPoint(b *pem.Block, k *ecdsa.PrivateKey) error {
	der := b.Bytes
	if b.Type == typePKCS8 {
		var outer struct {
			Version int
			Algo    pkix.AlgorithmIdentifier
			Key     []byte
		}
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			return errors.New("the PEM block can't be read")
		}
		der = outer.Key
	}
	var inner struct {
		Version int
		Private []byte
		Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
	}
	if _, err := asn1.Unmarshal(der, &inner); err != nil {
		return errors.New("the PEM block can't be read")
	}
	if len(inner.Public.Bytes) == 0 {
		return nil
	}
	point, err := k.PublicKey.Bytes()
	if err != nil || !bytes.Equal(point, inner.Public.Bytes) {
		return errors.New("the private half does not match the public one")
	}
	return nil
}

// algorithmOf names the algorithm of a raw key; "" for a kind that has none.
func algorithmOf(raw any) string {
	switch raw.(type) {
	case []byte:
		return algHS256
	case *rsa.PrivateKey, *rsa.PublicKey:
		return algRS256
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		return algES256
	}
	return ""
}

func describeKey(raw any) string {
	switch algorithmOf(raw) {
	case algRS256:
		return "an RSA key"
	case algES256:
		return "an EC key"
	}
	return "another kind of key"
}

// publicHalf returns the public key of a raw key that may be private.
func publicHalf(raw any) any {
	switch k := raw.(type) {
	case *rsa.PrivateKey:
		return &k.PublicKey
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	}
	return raw
}

// checkRawKey applies the rules for RSA and EC keys, whatever they came from.
func checkRawKey(raw any) error {
	switch k := raw.(type) {
	case *rsa.PrivateKey:
		return checkRSAPrivate(k)
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PrivateKey:
		return checkEC(&k.PublicKey)
	case *ecdsa.PublicKey:
		return checkEC(k)
	}
	return errors.New("the kind of key is not supported")
}

// checkEC accepts points of P-256 (RFC 7518, section 3.4) and no other curve.
func checkEC(pub *ecdsa.PublicKey) error {
	if pub.Curve != elliptic.P256() {
		return errors.New("ES256 needs a key on P-256")
	}
	// Bytes refuses the point at infinity and points off the curve.
	if _, err := pub.Bytes(); err != nil {
		return errors.New("the public key is not a point of P-256")
	}
	return nil
}

func checkRSAPrivate(k *rsa.PrivateKey) error {
	if err := checkRSA(&k.PublicKey); err != nil {
		return err
	}
	if len(k.Primes) != 2 {
		return errors.New("the RSA key does not have two primes")
	}
	if err := k.Validate(); err != nil {
		return errors.New("the private half does not match the public one")
	}
	return nil
}

// checkRSA refuses moduli and exponents that are too small (RFC 7518, section
// 3.3), too large to be verified cheaply, or known to be weak.
func checkRSA(pub *rsa.PublicKey) error {
	if pub.N == nil || pub.N.Sign() <= 0 {
		return errors.New("the RSA modulus is missing")
	}
	switch bits := pub.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("the RSA modulus has %d bits; 2048 to 8192 are accepted", bits)
	case pub.E < minRSAExpo || pub.E%2 == 0 || int64(pub.E) > 1<<31-1:
		return errors.New("the RSA exponent must be odd, at least 65537 and below 2^31")
	case pub.N.Bit(0) == 0:
		return errors.New("the RSA modulus is even")
	}
	return checkModulus(pub.N)
}

// checkModulus refuses what can be factored from the public key alone: small
// factors, primes next to each other, and primes of the form that Infineon's
// library made (ROCA, CVE-2017-15361).
func checkModulus(n *big.Int) error {
	roca := true
	for _, p := range smallPrimes() {
		r := new(big.Int).Mod(n, big.NewInt(int64(p))).Int64()
		if r == 0 {
			return errors.New("the RSA modulus has a small factor")
		}
		roca = roca && isPowerOf65537(int(r), p)
	}
	if roca {
		return errors.New("the RSA key comes from a generator with a known weakness (ROCA)")
	}
	if closePrimes(n) {
		return errors.New("the RSA key has two primes that are equal or too close")
	}
	return nil
}

// rocaPrimes is the largest prime whose residue is part of the fingerprint for
// moduli of 2048 bits: such keys are a power of 65537 modulo each prime up to
// it. A sound key is so with a probability of 2^-167.
const rocaPrimes = 701

func smallPrimes() []int {
	var primes []int
	for n := 3; n <= rocaPrimes; n += 2 {
		if big.NewInt(int64(n)).ProbablyPrime(0) {
			primes = append(primes, n)
		}
	}
	return primes
}

// isPowerOf65537 reports whether r is in the subgroup that 65537 generates
// modulo p.
func isPowerOf65537(r, p int) bool {
	for x, i := 1, 0; i < p; i++ {
		if x == r {
			return true
		}
		x = x * 65537 % p
	}
	return false
}

// fermatRounds is far more than any key with primes that were chosen
// independently needs, and takes about a millisecond.
const fermatRounds = 32

// closePrimes looks for a² − n = b² near the root of n, which finds equal
// primes in the first round and adjacent ones soon (Fermat; CVE-2022-26320).
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) == 0 {
		return true
	}
	b2, b := new(big.Int), new(big.Int)
	for range fermatRounds {
		a.Add(a, big.NewInt(1))
		b2.Sub(b2.Mul(a, a), n)
		if b.Sqrt(b2); b.Mul(b, b).Cmp(b2) == 0 {
			return true
		}
	}
	return false
}

// checkSecret refuses secrets for HMAC that can be guessed: RFC 7518, section
// 3.2, asks for as many bytes as the hash has, and RFC 8725, section 3.5, for
// ones that are no password. The error continues a sentence that begins with
// the name of the secret, and never shows any of it.
func checkSecret(secret []byte) error {
	const advice = `: make one with "openssl rand -base64 32"`
	switch {
	case len(secret) < minSecret:
		return errors.New("must have at least 32 bytes" + advice)
	case isKeyText(secret):
		return errors.New("is the text of another key, which others may know" + advice)
	case repeatedBytes(secret):
		return errors.New("repeats a short pattern" + advice)
	}
	if rest := withoutSamples(secret); len(rest) < len(secret) && (len(rest) < minSecret || repeatedBytes(rest)) {
		return errors.New("is a well-known sample, or little more" + advice)
	}
	return nil
}

// isKeyText recognizes public keys used as secrets, the confusion that RFC
// 8725, section 2.1, is about: as PEM, JWK, a line of OpenSSH, DER, or DER as
// base64.
func isKeyText(secret []byte) bool {
	for _, mark := range keyMarks {
		if bytes.Contains(secret, []byte(mark)) {
			return true
		}
	}
	return isKeyDER(secret) || isKeyDER(unarmoured(secret))
}

// keyMarks are in the texts of keys. No random text holds them: the shortest is
// in one of 64 random bytes with a probability of 2^-34.
var keyMarks = [...]string{
	"-----BEGIN", "---- BEGIN", // RFC 7468, RFC 4716
	`"kty"`, // RFC 7517
	"ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-",
	"AAAAB3NzaC1", "AAAAC3NzaC1", "AAAAE2VjZHNhLXNoYTIt", // the same without its first word
}

func isKeyDER(der []byte) bool {
	_, pkix := x509.ParsePKIXPublicKey(der)
	_, pkcs1 := x509.ParsePKCS1PublicKey(der)
	_, cert := x509.ParseCertificate(der)
	return pkix == nil || pkcs1 == nil || cert == nil
}

// unarmoured decodes base64 of either alphabet, with or without padding and line
// breaks; nil if the text is none.
func unarmoured(text []byte) []byte {
	plain := strings.TrimRight(strings.Join(strings.Fields(string(text)), ""), "=")
	plain = strings.NewReplacer("-", "+", "_", "/").Replace(plain)
	der, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return nil
	}
	return der
}

// repeatedBytes reports whether a secret, or the steps from byte to byte, consist
// of a shorter pattern, twice or more, whose own length would not do. The
// second finds "0123456789…" and the like.
func repeatedBytes(secret []byte) bool {
	if len(secret) == 0 {
		return true
	}
	steps := make([]byte, len(secret)-1)
	for i := range steps {
		steps[i] = secret[i+1] - secret[i]
	}
	return repeats(secret) || repeats(steps)
}

// repeats compares a text with itself shifted by each length of a pattern. A
// random secret of 32 bytes is refused with a probability of 2^-124.
func repeats(text []byte) bool {
	for n := 1; n <= len(text)/2 && n < minSecret; n++ {
		if bytes.Equal(text[n:], text[:len(text)-n]) {
			return true
		}
	}
	return false
}

// withoutSamples cuts every well-known sample out of a secret, so that one that
// is padded, repeated or joined with another is recognized by what is left.
func withoutSamples(secret []byte) []byte {
	rest := bytes.Clone(secret)
	for i, c := range rest {
		if 'A' <= c && c <= 'Z' {
			rest[i] = c | 0x20 // unlike bytes.ToLower this keeps the length
		}
	}
	for _, sample := range sampleSecrets {
		rest = bytes.ReplaceAll(rest, []byte(sample), nil)
	}
	return rest
}

// sampleSecrets are lower-case texts that many people copied from documentation,
// tutorials and default configurations, the longer ones before their parts.
var sampleSecrets = [...]string{
	// The keys of RFC 7515, appendix A.1, and RFC 7520, section 3.5: as text
	// and as bytes.
	"aym1sysppbydfgzld3umj1qzkobwvmkoqq-estjqlr_t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
	"\x03\x23\x35\x6b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f\x7a\xb3\x28\xe6\xf0\x74\xc9\x28\xa9\x0f\x84\xb2\xd2\x70\x2e\xbf" +
		"\xd3\xfb\x7a\x92\xd2\x06\x67\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22\x3d\x2e\x21\x72\x05\x2e\x6f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3",
	"hjtxiz2usn5kbqfbttnwbpdmhkv8fjg-onbc6mxccyg",
	"\x84\x9b\x77\x21\x9d\xae\x68\xde\x64\x6d\x07\xdb\xb5\x33\x76\x6e\x97\x66\x86\x65\x7c\x14\x91\xbe\x3a\x76\xdc\xea\x6c\x62\x71\x88",
	// Token debuggers and library documentation.
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
	"a-string-secret-at-least-256-bits-long",
	"your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret",
	"example_key_of_sufficient_length",
	"shhhhhhared-secret",
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
	"404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",
	"=======================bezkoder=spring===========================",
	"192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
	// Defaults of products.
	"your-super-secret-jwt-token-with-at-least-32-characters-long",
	"super-secret-jwt-token-with-at-least-32-characters-long",
	"secretkey012345678901234567890123456789012345678901234567890123456789",
	"signature_hmac_secret_shared_key",
	"change_me_to_a_complex_random_secret",
	"your_own_random_generated_secret_key",
	"put your unique phrase here",
	"django-insecure-",
	// WordPress plugins for tokens.
	"my_super_secret_auth_code", "mysecretauthcode", "somesupersecretpassword",
	"your-long-random-secure-string", "your-top-secret-secret-key", "your-top-secret-key", "your-secret-key",
	// Words that no random text holds.
	"mysecretpassword", "supersecret", "super-secret", "super_secret", "secret", "password", "passw0rd",
	"changeme", "change-me", "change_me", "replaceme", "replace-me", "letmein", "keyboard cat",
	"insecure", "default", "example", "sample", "placeholder", "qwertyuiop", "abcdefghijklmnopqrstuvwxyz",
	"1234567890", "0123456789",
}
