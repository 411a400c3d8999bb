package jwtauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// The algorithms of RFC 7518, section 3.1, that keys can have.
const (
	algHS256 = "HS256"
	algRS256 = "RS256"
	algES256 = "ES256"
)

// Key signs or verifies tokens with one algorithm, which nothing in a token can
// change. It has an id, the kid of RFC 7515, section 4.1.4. Make one with
// [HS256], [RS256], [ES256] or [GenerateKey]; the zero Key is refused
// everywhere. A Key is immutable and may be shared; formatted, logged or
// marshalled it shows its id and algorithm alone.
//
// Two Keys are equal with == if they come from the same call.
type Key struct{ m *keyMaterial }

// keyMaterial is behind a pointer so that package fmt, which follows none below
// the top level, can't reach it from a struct that holds a Key.
type keyMaterial struct {
	id, alg string
	secret  []byte           // HS256
	public  crypto.PublicKey // RS256, ES256
	signKey any              // what the signer takes; nil for a key that verifies only
	verKey  any              // what the verifier takes
	sigLen  int              // bytes of every signature
	created time.Time        // zero where nobody knows
	// heads are the first segments of the tokens that it signs, by type.
	heads map[string]string
	// The two are taken from the library's registry at load. It is shared by
	// the process, so what others register there later has no effect here.
	signer   jws.Signer
	verifier jws.Verifier
}

// HS256 makes a key for HMAC with SHA-256 from at least 32 random bytes, which
// everybody who verifies tokens must know. A secret that is repetitive, a
// sample from documentation or the text of another key is refused. kid is 1 to
// 128 letters, digits and "_", "-", ".", ":" or "/".
func HS256(kid string, secret []byte) (Key, error) {
	if err := checkKeyID(kid); err != nil {
		return Key{}, fmt.Errorf("jwtauth: HS256 key: %w", err)
	}
	if err := checkSecret(secret); err != nil {
		return Key{}, fmt.Errorf("jwtauth: HS256 key %q: the secret %w", kid, err)
	}
	k, err := newKey(kid, slices.Clone(secret), nil)
	if err != nil {
		return Key{}, fmt.Errorf("jwtauth: HS256 key %q: %w", kid, err)
	}
	return k, nil
}

// RS256 makes a key for RSASSA-PKCS1-v1_5 with SHA-256 from PEM text: one block
// with a private key (PKCS #1 or #8), or with a public one (PKCS #1 or PKIX)
// that can verify only. The modulus has 2048 to 8192 bits, the exponent is odd
// and between 65537 and 2³¹−1. kid is as for [HS256].
//
// Encrypted keys, certificates, more than one block, any other text and keys
// with a known weakness (ROCA, close primes) are refused.
func RS256(kid string, pem []byte) (Key, error) { return keyFromPEM(algRS256, kid, pem) }

// ES256 makes a key for ECDSA on P-256 with SHA-256 from PEM text: one block
// with a private key (SEC 1 or PKCS #8), or with a public one (PKIX) that can
// verify only. kid is as for [HS256]; what RS256 refuses is refused here too.
func ES256(kid string, pem []byte) (Key, error) { return keyFromPEM(algES256, kid, pem) }

func keyFromPEM(alg, kid string, text []byte) (Key, error) {
	if err := checkKeyID(kid); err != nil {
		return Key{}, fmt.Errorf("jwtauth: %s key: %w", alg, err)
	}
	raw, err := parsePEM(text)
	if err != nil {
		return Key{}, fmt.Errorf("jwtauth: %s key %q: %w", alg, kid, err)
	}
	if got := algorithmOf(raw); got != alg {
		return Key{}, fmt.Errorf("jwtauth: %s key %q: the PEM holds %s", alg, kid, describeKey(raw))
	}
	k, err := asymmetricKey(kid, raw)
	if err != nil {
		return Key{}, fmt.Errorf("jwtauth: %s key %q: %w", alg, kid, err)
	}
	return k, nil
}

// GenerateKey makes a key that can sign, for "HS256" (32 bytes), "RS256" (2048
// bits) or "ES256". Its id is derived from it: the thumbprint of RFC 7638 for
// the latter two.
//
// Prefer ES256 where the choice is free: its keys and signatures are small and
// as strong as HS256. RSA with 2048 bits is good until 2030 (NIST SP 800-57);
// with 3072, every verification would cost six times as much.
//
// Randomness comes from the operating system. Where that fails, the process
// ends rather than go on with a weak key.
func GenerateKey(alg string) (Key, error) {
	raw, err := generate(alg)
	if err != nil {
		return Key{}, fmt.Errorf("jwtauth: generate key: %w", err)
	}
	k, err := keyWithDerivedID(raw)
	if err != nil {
		return Key{}, fmt.Errorf("jwtauth: generate %s key: %w", alg, err)
	}
	k.m.created = time.Now()
	return k, nil
}

const (
	generatedSecretBytes = 32
	generatedRSABits     = 2048
)

// generate returns new raw key material: a []byte or a private key.
func generate(alg string) (any, error) {
	switch alg {
	case algHS256:
		secret := make([]byte, generatedSecretBytes)
		rand.Read(secret) // never fails: see crypto/rand
		return secret, nil
	case algRS256:
		return rsa.GenerateKey(rand.Reader, generatedRSABits)
	case algES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, errUnknownAlg
}

var errUnknownAlg = errors.New("the algorithm must be HS256, RS256 or ES256")

// keyWithDerivedID makes a Key whose id follows from the material, so that all
// nodes that load it agree on the id without being told.
func keyWithDerivedID(raw any) (Key, error) {
	if secret, ok := raw.([]byte); ok {
		// Not the bare thumbprint of the secret, which RFC 7638, section 7,
		// advises against, but a MAC under it, as any token is.
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("jwtauth key id"))
		return newKey(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), secret, nil)
	}
	jk, err := jwk.FromRaw(publicHalf(raw))
	if err != nil {
		return Key{}, err
	}
	sum, err := jk.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, err
	}
	return asymmetricKey(base64.RawURLEncoding.EncodeToString(sum), raw)
}

// asymmetricKey checks a raw RSA or ECDSA key, private or public, and makes a
// Key of it. All of them pass here: from PEM, from files, from a JWKS URL.
func asymmetricKey(kid string, raw any) (Key, error) {
	if err := checkRawKey(raw); err != nil {
		return Key{}, err
	}
	if private, ok := raw.(crypto.Signer); ok {
		return newKey(kid, private, private.Public())
	}
	return newKey(kid, nil, raw)
}

// newKey prepares signer and verifier once, so that a signature later costs
// little more than the bare cryptography, and tries them on each other.
func newKey(kid string, signKey any, public crypto.PublicKey) (Key, error) {
	m := &keyMaterial{id: kid, signKey: signKey, verKey: public, public: public}
	switch pub := public.(type) {
	case nil:
		secret, ok := signKey.([]byte)
		if !ok {
			return Key{}, errZeroKey
		}
		m.alg, m.secret, m.verKey, m.sigLen = algHS256, secret, secret, sha256.Size
	case *rsa.PublicKey:
		m.alg, m.sigLen = algRS256, pub.Size()
	case *ecdsa.PublicKey:
		m.alg, m.sigLen = algES256, len(p256Order)*2
	default:
		return Key{}, errors.New("the kind of key is not supported")
	}
	var err error
	if m.signer, err = jws.NewSigner(jwa.SignatureAlgorithm(m.alg)); err != nil {
		return Key{}, err
	}
	if m.verifier, err = jws.NewVerifier(jwa.SignatureAlgorithm(m.alg)); err != nil {
		return Key{}, err
	}
	if err := (Key{m}).selfTest(); err != nil {
		return Key{}, err
	}
	m.heads = make(map[string]string, len(tokenTypes))
	for _, typ := range tokenTypes {
		m.heads[typ] = encodeHeader(m.alg, m.id, typ)
	}
	return Key{m}, nil
}

var errZeroKey = errors.New("the key is the zero Key")

// selfTest signs and verifies: a private half that does not belong to the
// public one, or a damaged CRT value, shows here and not at the first login.
func (k Key) selfTest() error {
	if !k.CanSign() {
		return nil
	}
	probe := []byte("jwtauth self-test")
	sig, err := k.sign(probe)
	if err != nil || k.verify(probe, sig) != nil {
		return errors.New("the key failed its self-test: the private half does not match the public one")
	}
	return nil
}

// ID is the kid that tokens name the key by; "" for the zero Key.
func (k Key) ID() string {
	if k.m == nil {
		return ""
	}
	return k.m.id
}

// Algorithm is "HS256", "RS256" or "ES256"; "" for the zero Key.
func (k Key) Algorithm() string {
	if k.m == nil {
		return ""
	}
	return k.m.alg
}

// CanSign reports whether the key holds a private half or a secret.
func (k Key) CanSign() bool { return k.m != nil && k.m.signKey != nil }

// PublicPEM returns the public half as PEM text (PKIX), for [RS256] or [ES256]
// on a service that only verifies. A secret has none: HS256 keys return an
// error.
func (k Key) PublicPEM() ([]byte, error) {
	if k.m == nil || k.m.public == nil {
		return nil, errors.New("jwtauth: only RS256 and ES256 keys have a public half")
	}
	der, err := x509.MarshalPKIXPublicKey(k.m.public)
	if err != nil {
		return nil, fmt.Errorf("jwtauth: encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// head returns the first segment of a token of a type.
func (k Key) head(typ string) string {
	if k.m == nil {
		return ""
	}
	return k.m.heads[typ]
}

// sign returns the raw signature of RFC 7515, section 5.1, over bytes that the
// caller built.
func (k Key) sign(input []byte) ([]byte, error) {
	if !k.CanSign() {
		return nil, errors.New("the key can't sign")
	}
	return k.m.signer.Sign(input, k.m.signKey)
}

// verify returns nil if sig is the key's signature over input.
func (k Key) verify(input, sig []byte) error {
	if k.m == nil {
		return errZeroKey
	}
	// RFC 7518, section 3.4: an ECDSA signature is r and s at their full
	// length and nothing else, so DER is refused here. RFC 8017, section
	// 8.2.2: an RSA signature is as long as the modulus.
	if len(sig) != k.m.sigLen {
		return errBadSignature
	}
	if k.m.alg == algES256 && !(validScalar(sig[:len(p256Order)]) && validScalar(sig[len(p256Order):])) {
		return errBadSignature
	}
	if k.m.verifier.Verify(input, sig, k.m.verKey) != nil {
		return errBadSignature
	}
	return nil
}

var errBadSignature = errors.New("the signature does not verify")

// p256Order is n of P-256 (SP 800-186, section 3.2.1.3), big endian.
var p256Order = elliptic.P256().Params().N.Bytes()

// validScalar reports whether a half of an ECDSA signature is in 1..n−1. The
// implementation below checks it too; one that did not took signatures of
// zeros for anybody's (CVE-2022-21449).
func validScalar(half []byte) bool {
	nonzero := slices.ContainsFunc(half, func(b byte) bool { return b != 0 })
	return nonzero && slices.Compare(half, p256Order) < 0
}

// sameKey reports whether a and b are the same secret or the same public key,
// whatever their ids and whether or not they can sign.
func sameKey(a, b Key) bool {
	switch pub := a.m.public.(type) {
	case *rsa.PublicKey:
		return pub.Equal(b.m.public)
	case *ecdsa.PublicKey:
		return pub.Equal(b.m.public)
	}
	return b.m.secret != nil && subtle.ConstantTimeCompare(a.m.secret, b.m.secret) == 1
}

// String returns algorithm and id, for example "ES256 key 2026-a".
func (k Key) String() string {
	if k.m == nil {
		return "zero key"
	}
	return k.m.alg + " key " + k.m.id
}

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Format is String for every verb: %x and %d show nothing more than %v.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue is algorithm and id, for log/slog.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.ID()), slog.String("alg", k.Algorithm()))
}

// MarshalText is String. There is no way back from it.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON returns kid and alg, and no key: for that see [KeySet.JWKS].
func (k Key) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"kid": k.ID(), "alg": k.Algorithm()})
}

// KeySet is the key that signs tokens and all keys that verify them. It may be
// shared by any number of Auths, Verifiers and goroutines: reading takes no
// lock, and all of them see a change at once.
//
// To change the signing key without refusing anybody, make the new one known
// to every node with Accept, then call Rotate on each, and Retire the old one
// when the last token that it signed has expired. A set from [OpenKeys] does
// the same with files and Reload.
type KeySet struct {
	state atomic.Pointer[keyState]
	mu    sync.Mutex // held by whoever changes the state
	dir   string     // where OpenKeys read it; "" elsewhere
	alg   string     // and which algorithm the newest key must have
	// retired are ids that Reload passes over although their files are there.
	// They stay in it when the file goes: it may come back.
	retired map[string]bool
}

// keyState is immutable.
type keyState struct {
	keys  []Key // keys[0] signs, if signs is set
	signs bool
	byID  map[string]Key
}

// KeyInfo describes one key of a [KeySet].
type KeyInfo struct {
	// ID is the kid.
	ID string
	// Algorithm is "HS256", "RS256" or "ES256".
	Algorithm string
	// Signing marks the one key that signs new tokens.
	Signing bool
	// Created is when [GenerateKey] made it, or when its file was last written.
	// Zero where neither is known, as for keys that were given as PEM.
	Created time.Time
}

// NewKeySet makes a set of a key that signs and others that verify only, most
// often the ones that signed before. Ids must differ; so must the keys, since
// one key under two ids could be retired and still be there.
func NewKeySet(signing Key, verifyOnly ...Key) (*KeySet, error) {
	return newKeySet(true, append([]Key{signing}, verifyOnly...))
}

// NewVerifyKeySet makes a set for a service that verifies tokens and issues
// none. Public keys are enough; for HS256 it takes the shared secret.
func NewVerifyKeySet(keys ...Key) (*KeySet, error) {
	return newKeySet(false, slices.Clone(keys))
}

func newKeySet(signs bool, keys []Key) (*KeySet, error) {
	st, err := newKeyState(signs, keys)
	if err != nil {
		return nil, err
	}
	s := &KeySet{}
	s.replace(st)
	return s, nil
}

// newKeyState checks the keys as a whole. It keeps the slice.
func newKeyState(signs bool, keys []Key) (*keyState, error) {
	if len(keys) == 0 {
		return nil, errors.New("jwtauth: a key set needs at least one key")
	}
	byID := make(map[string]Key, len(keys))
	for i, k := range keys {
		if k.m == nil {
			return nil, fmt.Errorf("jwtauth: key set: %w", errZeroKey)
		}
		if _, ok := byID[k.m.id]; ok {
			return nil, fmt.Errorf("jwtauth: key set: two keys have the id %q", k.m.id)
		}
		for _, other := range keys[:i] {
			if sameKey(k, other) {
				return nil, fmt.Errorf("jwtauth: key set: %q and %q are the same key", other.m.id, k.m.id)
			}
		}
		byID[k.m.id] = k
	}
	if signs && !keys[0].CanSign() {
		return nil, fmt.Errorf("jwtauth: key set: %q can't sign: it has no private half", keys[0].m.id)
	}
	return &keyState{keys: keys, signs: signs, byID: byID}, nil
}

// noKeys is the state of a nil or zero KeySet.
var noKeys = &keyState{}

func (s *KeySet) load() *keyState {
	if s == nil {
		return noKeys
	}
	if st := s.state.Load(); st != nil {
		return st
	}
	return noKeys
}

// replace publishes a new state. The caller holds mu.
func (s *KeySet) replace(st *keyState) {
	s.state.Store(st)
}

// Rotate makes next the key that signs from now on; the one that signed before
// goes on verifying. If next is in the set already, as after Accept or when a
// rotation is rolled back, it changes its role. Another key with the same id is
// refused, and so is a key for a set that does not sign.
func (s *KeySet) Rotate(next Key) error {
	return s.change(func(st *keyState) (*keyState, error) {
		if !st.signs {
			return nil, errors.New("jwtauth: rotate: this key set only verifies")
		}
		rest, err := st.without(next)
		if err != nil {
			return nil, fmt.Errorf("jwtauth: rotate: %w", err)
		}
		delete(s.retired, next.m.id)
		return newKeyState(true, append([]Key{next}, rest...))
	})
}

// Accept adds a key that verifies tokens and does not sign, for example the
// next signing key before any node signs with it. A key that the set has
// already stays as it is; another key with the same id is refused.
func (s *KeySet) Accept(k Key) error {
	return s.change(func(st *keyState) (*keyState, error) {
		rest, err := st.without(k)
		if err != nil {
			return nil, fmt.Errorf("jwtauth: accept: %w", err)
		}
		if len(rest) < len(st.keys) {
			return st, nil
		}
		delete(s.retired, k.m.id)
		return newKeyState(st.signs, append(rest, k))
	})
}

// Retire removes a key at once: tokens that it signed are refused from now on,
// unless it is given to Rotate or Accept again. The signing key can't be retired,
// nor the last key of a set that verifies. An unknown id returns [ErrNotFound].
//
// In a set from [OpenKeys], Reload leaves the key out although its file is there.
// The next process knows nothing of that: remove the file before a restart.
func (s *KeySet) Retire(kid string) error {
	return s.change(func(st *keyState) (*keyState, error) {
		i := slices.IndexFunc(st.keys, func(k Key) bool { return k.m.id == kid })
		switch {
		case i < 0:
			return nil, ErrNotFound
		case i == 0 && st.signs:
			return nil, fmt.Errorf("jwtauth: retire: %q is the signing key: rotate first", kid)
		}
		next, err := newKeyState(st.signs, slices.Delete(slices.Clone(st.keys), i, i+1))
		if err == nil && s.retired == nil {
			s.retired = make(map[string]bool)
		}
		if err == nil {
			s.retired[kid] = true
		}
		return next, err
	})
}

// change swaps the state for what f makes of it, one change at a time.
func (s *KeySet) change(f func(*keyState) (*keyState, error)) error {
	if s == nil {
		return errors.New("jwtauth: the key set is nil")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.load()
	st, err := f(old)
	if err == nil && st != old {
		s.replace(st)
	}
	return err
}

// without returns a copy of the keys that lacks k. A different key with the
// same id is an error.
func (st *keyState) without(k Key) ([]Key, error) {
	if k.m == nil {
		return nil, errZeroKey
	}
	held, ok := st.byID[k.m.id]
	if !ok {
		return slices.Clone(st.keys), nil
	}
	if !sameKey(held, k) {
		return nil, fmt.Errorf("the set has another key with the id %q", k.m.id)
	}
	return slices.DeleteFunc(slices.Clone(st.keys), func(o Key) bool { return o.m.id == k.m.id }), nil
}

// Keys lists the set, the signing key first.
func (s *KeySet) Keys() []KeyInfo {
	st := s.load()
	infos := make([]KeyInfo, len(st.keys))
	for i, k := range st.keys {
		infos[i] = KeyInfo{ID: k.m.id, Algorithm: k.m.alg, Signing: st.signs && i == 0, Created: k.m.created}
	}
	return infos
}

// JWKS returns the public halves as a JSON Web Key Set (RFC 7517), to be served
// to services that verify tokens. Secrets and private halves are never in it:
// for HS256 alone the set is empty.
func (s *KeySet) JWKS() ([]byte, error) {
	set := jwk.NewSet()
	for _, k := range s.load().keys {
		if k.m.public == nil {
			continue
		}
		jk, err := publicJWK(k)
		if err != nil {
			return nil, fmt.Errorf("jwtauth: encode key %q: %w", k.m.id, err)
		}
		if err := set.AddKey(jk); err != nil {
			return nil, fmt.Errorf("jwtauth: encode key %q: %w", k.m.id, err)
		}
	}
	return json.Marshal(set)
}

func publicJWK(k Key) (jwk.Key, error) {
	jk, err := jwk.FromRaw(k.m.public)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		jk.Set(jwk.KeyIDKey, k.m.id),
		jk.Set(jwk.AlgorithmKey, k.m.alg),
		jk.Set(jwk.KeyUsageKey, jwk.ForSignature),
	)
	return jk, err
}

// signing returns the key for new tokens.
func (s *KeySet) signing() (Key, bool) {
	if st := s.load(); st.signs {
		return st.keys[0], true
	}
	return Key{}, false
}

// canSign reports whether signing will find a key.
func (s *KeySet) canSign() bool { return s.load().signs }

// lookup finds a key by its exact id, in memory: a kid from a token names no
// file, row or URL.
func (s *KeySet) lookup(kid string) (Key, bool) {
	k, ok := s.load().byID[kid]
	return k, ok
}

// only returns the key of a set that has one.
func (s *KeySet) only() (Key, bool) {
	st := s.load()
	if len(st.keys) != 1 {
		return Key{}, false
	}
	return st.keys[0], true
}

// holdsSecret reports whether a key of the set is this very secret. It takes as
// long for any secret of the same length.
func (s *KeySet) holdsSecret(secret []byte) bool {
	found := 0
	for _, k := range s.load().keys {
		if k.m.secret != nil {
			found |= subtle.ConstantTimeCompare(k.m.secret, secret)
		}
	}
	return found == 1
}
