package jwtauth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/publicnet"
	"github.com/go-jwtauth/jwtauth/internal/strictjson"
)

const (
	defaultJWKSRefresh = 15 * time.Minute
	defaultJWKSMaxAge  = 24 * time.Hour
	minJWKSRefresh     = time.Minute
	maxJWKSAge         = 7 * 24 * time.Hour
	jwksTimeout        = 10 * time.Second
	maxJWKSBytes       = 1 << 20
	maxJWKSKeys        = 100
	// jwksPause is the least time between two requests while there are keys
	// to go on with, so that tokens with made-up kids can't turn this
	// service against the other one.
	jwksPause = time.Minute
	// jwksRetry is the least time between two requests while there are none
	// and every token is refused.
	jwksRetry = 5 * time.Second
	// jwksOutage is how long after a failed request nobody is made to wait
	// for the next one who can be served without it, nor anybody while no set
	// is left to serve from.
	jwksOutage = 10 * time.Minute
)

// JWKSConfig says where the keys of another service are published. URL is
// required; the zero value of the rest is the safe default.
type JWKSConfig struct {
	// URL is the address of the JSON Web Key Set, with https. It comes from
	// the operator and never from a token.
	URL string
	// RefreshEvery is how long a set is used before it is fetched again, and
	// so how long a key that was removed there goes on here. Default 15 min,
	// between 1 min and MaxAge.
	RefreshEvery time.Duration
	// MaxAge is how long the last good set is used while the address does
	// not answer. After that every token is refused. Default 24 h (or
	// RefreshEvery, if that is longer), at most 7 days.
	MaxAge time.Duration
	// Client replaces the HTTP client, for a private certificate authority
	// or a proxy. Its transport then decides which addresses are dialled;
	// redirects and cookies stay off and its time-out is at most 10 s.
	// Default: a client that uses no proxy and dials public addresses only.
	Client *http.Client
	// AllowPrivateAddresses lets the default client dial loopback, private
	// and other addresses that are not on the public internet.
	AllowPrivateAddresses bool
	// InsecureAllowHTTP accepts a URL with http. Whoever can change what
	// passes between the two services can then sign any token.
	InsecureAllowHTTP bool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line for each failed request and each key that is
	// passed over. Default: slog.Default.
	Logger *slog.Logger
}

// JWKS is the keys of another service, fetched from a URL when they are first
// needed and kept up to date. It may be shared by any number of goroutines.
//
// Keys with RS256 and ES256 are used if they pass what [RS256] and [ES256]
// check, and passed over otherwise, as are keys without a kid and keys for
// encryption. A set that is not well-formed, has two usable keys with one kid,
// more than 100 keys or a symmetric key is refused whole, and the last good
// one stays.
type JWKS struct {
	cfg    JWKSConfig
	client *http.Client
	set    atomic.Pointer[remoteKeys]

	mu        sync.Mutex
	flight    chan struct{} // closed when the request under way has ended; nil if there is none
	attempted time.Time     // when the last request began
	failed    time.Time     // when the last one began, if it failed
	failure   error
}

// remoteKeys is one good answer. It is immutable.
type remoteKeys struct {
	byID    map[string]Key
	fetched time.Time
}

// NewJWKS makes a JWKS. It does not touch the network: that happens when the
// first token is verified, so a service starts while the other one is down.
func NewJWKS(cfg JWKSConfig) (*JWKS, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &JWKS{cfg: cfg, client: cfg.httpClient()}, nil
}

func (cfg JWKSConfig) withDefaults() JWKSConfig {
	defaultTo(&cfg.RefreshEvery, defaultJWKSRefresh)
	defaultTo(&cfg.MaxAge, max(defaultJWKSMaxAge, cfg.RefreshEvery))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

func (cfg JWKSConfig) validate() error {
	errs := []error{cfg.validateURL()}
	if cfg.MaxAge < minJWKSRefresh || cfg.MaxAge > maxJWKSAge {
		errs = append(errs, fmt.Errorf("jwtauth: JWKSConfig.MaxAge must be between %v and %v", minJWKSRefresh, maxJWKSAge))
	}
	if cfg.RefreshEvery < minJWKSRefresh || cfg.RefreshEvery > cfg.MaxAge {
		errs = append(errs, fmt.Errorf("jwtauth: JWKSConfig.RefreshEvery must be between %v and MaxAge", minJWKSRefresh))
	}
	return errors.Join(errs...)
}

func (cfg JWKSConfig) validateURL() error {
	fail := func(why string) error { return errors.New("jwtauth: JWKSConfig.URL " + why) }
	u, err := publicnet.ParseURL(cfg.URL, cfg.InsecureAllowHTTP)
	if err != nil {
		return fail(err.Error())
	}
	// The dialer decides in any case; this only tells the operator sooner.
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && cfg.Client == nil && !cfg.AllowPrivateAddresses && !publicnet.Addr(ip) {
		return fail("has an address that is not on the public internet (AllowPrivateAddresses accepts it)")
	}
	return nil
}

// httpClient returns a client that follows no redirect: the URL is the one that
// the operator chose, not one that its server chooses.
func (cfg JWKSConfig) httpClient() *http.Client {
	t := publicnet.Transport(jwksTimeout, cfg.AllowPrivateAddresses, nil)
	t.DisableKeepAlives = true // one request in a quarter of an hour
	c := http.Client{Transport: t}
	if cfg.Client != nil {
		c = *cfg.Client
	}
	if c.Timeout <= 0 || c.Timeout > jwksTimeout {
		c.Timeout = jwksTimeout
	}
	c.Jar = nil
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// key returns the key with exactly this kid. A kid that is in no recent set is
// [ErrNotFound]. [ErrUnavailable] means that there is no set to look in, or
// that ctx ended before one arrived; nothing can be said of the token then.
//
// When a request has failed and no set is left, that is the answer at once,
// and the next request goes on in the background: a service that hangs would
// otherwise hold every request of this one.
//
// A key that is fresh costs two loads and no lock, so callers may ask for each
// request whether a key is still there.
func (j *JWKS) key(ctx context.Context, kid string) (Key, error) {
	now := j.cfg.Now()
	set := j.set.Load()
	if k, ok := set.lookup(kid, now, j.cfg.RefreshEvery); ok {
		return k, nil
	}
	_, servable := set.lookup(kid, now, j.cfg.MaxAge)
	hopeless := !set.usable(now, j.cfg.MaxAge)
	done, outage := j.refresh(now)
	if outage && hopeless {
		return Key{}, j.fault()
	}
	if done != nil && !(outage && servable) {
		select {
		case <-done:
		case <-ctx.Done():
			return Key{}, ErrUnavailable.because(ctx.Err())
		}
	}
	return j.cached(kid)
}

// cached answers from the set that is there, fresh or not.
func (j *JWKS) cached(kid string) (Key, error) {
	now, set := j.cfg.Now(), j.set.Load()
	if k, ok := set.lookup(kid, now, j.cfg.MaxAge); ok {
		return k, nil
	}
	if set.usable(now, j.cfg.MaxAge) {
		return Key{}, ErrNotFound
	}
	return Key{}, j.fault()
}

// fault is why there is no set.
func (j *JWKS) fault() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure != nil {
		return ErrUnavailable.because(j.failure)
	}
	return ErrUnavailable.because(errors.New("the key set is too old"))
}

func (r *remoteKeys) usable(now time.Time, maxAge time.Duration) bool {
	return r != nil && younger(r.fetched, now, maxAge)
}

func (r *remoteKeys) lookup(kid string, now time.Time, maxAge time.Duration) (Key, bool) {
	if !r.usable(now, maxAge) {
		return Key{}, false
	}
	k, ok := r.byID[kid]
	return k, ok
}

// younger reports whether less than d has passed since t. A clock that was set
// back makes nothing younger: what lies ahead of now counts as old.
func younger(t, now time.Time, d time.Duration) bool {
	age := now.Sub(t)
	return age >= 0 && age < d
}

// refresh starts a request unless one is under way or it is too early, and
// returns a channel that closes when it has ended, nil if there is none. outage
// reports that a recent request failed.
func (j *JWKS) refresh(now time.Time) (done <-chan struct{}, outage bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	outage = younger(j.failed, now, jwksOutage)
	if j.flight != nil {
		return j.flight, outage
	}
	pause := jwksPause
	if !j.set.Load().usable(now, j.cfg.MaxAge) {
		pause = jwksRetry
	}
	if younger(j.attempted, now, pause) {
		return nil, outage
	}
	j.attempted, j.flight = now, make(chan struct{})
	go j.fetch(now, j.flight)
	return j.flight, outage
}

// fetch makes one request for all who wait, so it does not end with any of
// them.
func (j *JWKS) fetch(now time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), jwksTimeout)
	defer cancel()
	body, err := j.download(ctx)
	var keys map[string]Key
	if err == nil {
		keys, err = j.parse(body)
	}
	if err != nil {
		j.cfg.Logger.Warn("key set not refreshed", "url", j.cfg.URL, "error", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flight, j.failure, j.failed = nil, err, time.Time{}
	if err != nil {
		j.failed = now
	} else {
		j.set.Store(&remoteKeys{byID: keys, fetched: now})
	}
	close(done)
}

func (j *JWKS) download(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer has status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKSBytes {
		return nil, errors.New("the answer is longer than 1 MiB")
	}
	return body, nil
}

// parse reads a set. Keys that were there before keep their Key value, so that
// caches which compare it outlive a refresh.
func (j *JWKS) parse(body []byte) (map[string]Key, error) {
	keys, skipped, err := parseJWKS(body)
	if err != nil {
		return nil, err
	}
	for _, why := range skipped {
		j.cfg.Logger.Warn("key of a key set passed over", "url", j.cfg.URL, "error", why)
	}
	if old := j.set.Load(); old != nil {
		for kid, k := range keys {
			if prev, ok := old.byID[kid]; ok && sameKey(prev, k) {
				keys[kid] = prev
			}
		}
	}
	return keys, nil
}

// jwksLimits leave room for members that are not ours to understand.
var jwksLimits = strictjson.Limits{Depth: 16, Members: 64}

// parseJWKS reads a JSON Web Key Set (RFC 7517, section 5). A set without any
// usable key is accepted: its owner has withdrawn them all.
func parseJWKS(body []byte) (keys map[string]Key, skipped []error, err error) {
	if _, err := strictjson.Parse(body, jwksLimits, nil); err != nil {
		return nil, nil, fmt.Errorf("the answer is not a JSON Web Key Set: %w", err)
	}
	// Maps, since members of structs would match names of any case.
	var set map[string]json.RawMessage
	var members []map[string]json.RawMessage
	if json.Unmarshal(body, &set) != nil || json.Unmarshal(set["keys"], &members) != nil || members == nil {
		return nil, nil, errors.New("the answer is not a JSON Web Key Set")
	}
	if len(members) > maxJWKSKeys {
		return nil, nil, fmt.Errorf("the key set has more than %d keys", maxJWKSKeys)
	}
	keys = make(map[string]Key, len(members))
	for _, m := range members {
		k, err := publicKeyFromJWK(m)
		if errors.Is(err, errSymmetricKey) {
			return nil, nil, err
		}
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		if _, ok := keys[k.ID()]; ok {
			return nil, nil, errors.New("the key set has two keys with the same kid")
		}
		keys[k.ID()] = k
	}
	return keys, skipped, nil
}

// errSymmetricKey condemns a whole set: whoever publishes a secret has mixed up
// more than one key.
var errSymmetricKey = errors.New("the key set holds a symmetric key")

// publicKeyFromJWK makes a Key of one JWK, or says why it is of no use here.
func publicKeyFromJWK(m map[string]json.RawMessage) (Key, error) {
	kty := textMember(m, "kty")
	if kty == "oct" || m["k"] != nil {
		return Key{}, errSymmetricKey
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		if m[name] != nil {
			return Key{}, errors.New("the key comes with its private half, so anybody may have it")
		}
	}
	kid := textMember(m, "kid")
	if !validRemoteKeyID(kid) {
		return Key{}, errors.New("the key has no kid of 1 to 128 visible ASCII characters")
	}
	if !forVerification(m) {
		return Key{}, fmt.Errorf("key %q: it is not for verifying signatures", kid)
	}
	pub, err := publicKeyOf(kty, m)
	if err == nil && m["alg"] != nil && textMember(m, "alg") != algorithmOf(pub) {
		err = errors.New("its alg is neither RS256 nor ES256, or not that of its kty")
	}
	var k Key
	if err == nil {
		k, err = asymmetricKey(kid, pub)
	}
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", kid, err)
	}
	return k, nil
}

// textMember returns a member that is a string; "" for any other.
func textMember(m map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// validRemoteKeyID is wider than the rule for our own ids: others use base64
// with "+", "/" and "=".
func validRemoteKeyID(kid string) bool {
	if len(kid) < 1 || len(kid) > maxKeyID {
		return false
	}
	for _, c := range []byte(kid) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// forVerification obeys use and key_ops (RFC 7517, sections 4.2 and 4.3): where
// one is there, it has to allow what we do.
func forVerification(m map[string]json.RawMessage) bool {
	if m["use"] != nil && textMember(m, "use") != "sig" {
		return false
	}
	if m["key_ops"] == nil {
		return true
	}
	var ops []string
	return json.Unmarshal(m["key_ops"], &ops) == nil && slices.Contains(ops, "verify")
}

// publicKeyOf decodes the parameters of RFC 7518, sections 6.2.1 and 6.3.1.
func publicKeyOf(kty string, m map[string]json.RawMessage) (any, error) {
	switch {
	case kty == "RSA":
		return rsaFromJWK(numberMember(m, "n"), numberMember(m, "e"))
	case kty == "EC" && textMember(m, "crv") == "P-256":
		return p256FromJWK(numberMember(m, "x"), numberMember(m, "y"))
	}
	return nil, errors.New("its kty or curve is not supported")
}

// numberMember decodes base64url as strictly as a segment of a token; nil if it
// is not that.
func numberMember(m map[string]json.RawMessage, name string) []byte {
	text := textMember(m, name)
	b, ok := decodeSegment(make([]byte, len(text)), text)
	if !ok {
		return nil
	}
	return b
}

func rsaFromJWK(n, e []byte) (*rsa.PublicKey, error) {
	// The exponent is bounded here, as a longer one would not fit the int.
	if len(n) == 0 || len(n) > maxRSABits/8+1 || len(e) == 0 || len(e) > 4 {
		return nil, errors.New("its modulus or exponent is missing, malformed or too long")
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent > 1<<31-1 {
		return nil, errors.New("its exponent is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

func p256FromJWK(x, y []byte) (*ecdsa.PublicKey, error) {
	if len(x) != 32 || len(y) != 32 { // RFC 7518, section 6.2.1.2
		return nil, errors.New("its coordinates are missing or malformed")
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, x, y}, nil))
	if err != nil {
		return nil, errors.New("it is not a point of P-256")
	}
	return pub, nil
}
