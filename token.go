package jwtauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/strictjson"
)

// Claims are what a verified token says.
type Claims struct {
	// Issuer, Subject, Audience and ID are the registered iss, sub, aud and
	// jti (RFC 7519, section 4.1).
	Issuer, Subject string
	Audience        []string
	ID              string
	// IssuedAt, ExpiresAt and NotBefore are iat, exp and nbf; NotBefore is
	// zero where the token has none.
	IssuedAt, ExpiresAt, NotBefore time.Time
	// SessionID, Generation and Version are sid, gen and ver: the session,
	// its generation and the user's credential version. Tokens of other
	// issuers may lack them.
	SessionID           string
	Generation, Version int64
	// Roles are the user's roles when the token was made.
	Roles []string

	raw string
}

// Raw returns all claims as the JSON object that was signed.
func (c Claims) Raw() json.RawMessage { return json.RawMessage(c.raw) }

// Decode stores the claim with exactly that name into the value that into
// points to, as [json.Unmarshal] does. It reports false, without an error, if
// the token has no such claim.
func (c Claims) Decode(name string, into any) (bool, error) {
	members, err := strictjson.ParseText(c.raw, claimLimits, nil)
	if err != nil {
		return false, fmt.Errorf("jwtauth: claims: %w", err)
	}
	v := members.Get(name)
	if v.Kind() == strictjson.Missing {
		return false, nil
	}
	return true, json.Unmarshal(v.Raw(), into)
}

// Token types, the typ of the header (RFC 8725, section 3.11): a token of one
// kind is never accepted as another.
const (
	typeAccess    = "at+jwt" // RFC 9068, section 2.1
	typeSSO       = "sso+jwt"
	typeAutoLogin = "autologin+jwt"
)

var tokenTypes = []string{typeAccess, typeSSO, typeAutoLogin}

// maxTokenBytes bounds the work that an unverified token can cause.
const maxTokenBytes = 8 << 10

// maxNumericDate is the year 9999: later times don't survive other software.
const maxNumericDate = 253402300800

var (
	headerLimits = strictjson.Limits{Depth: 4, Members: 8}
	claimLimits  = strictjson.Limits{Depth: 16, Members: 256}
)

// reason is why a token was refused. It goes to the log and to [Reason]; the
// answer to a caller is [ErrInvalidToken] for all of them.
type reason string

func (r reason) Error() string { return string(r) }

// The reasons that [Reason] returns.
const (
	ReasonMalformed   = "malformed"         // not three canonical base64url segments of strict JSON
	ReasonHeader      = "header"            // a header member that is missing, unknown or wrong
	ReasonKey         = "unknown key"       // a kid that is not held
	ReasonAlgorithm   = "algorithm"         // not the algorithm of the key
	ReasonType        = "token type"        // a token of another kind
	ReasonSignature   = "signature"         // the signature does not fit
	ReasonClaims      = "claims"            // a required claim is missing or has the wrong type
	ReasonIssuer      = "issuer"            // somebody else's token
	ReasonAudience    = "audience"          // a token for somebody else
	ReasonExpired     = "expired"           // exp has passed
	ReasonNotYetValid = "not yet valid"     // nbf or iat lie in the future
	ReasonLifetime    = "lifetime too long" // longer than this verifier allows
	ReasonRevoked     = "revoked"           // by token id, session or user
	ReasonLocked      = "locked"            // too many wrong passwords, for ErrInvalidCredentials
	ReasonDomain      = "e-mail domain"     // not one of RegistrationConfig.EmailDomains, for ErrInvalidInput
)

// Reason returns why a token, a password or an address was refused, as one of the Reason…
// constants, or "" if err has no such reason. It is meant for logs, and for protocols that
// must tell; a public answer is better off without it.
func Reason(err error) string {
	e, ok := asError(err)
	if !ok {
		return ""
	}
	r, _ := e.cause.(reason)
	return string(r)
}

func invalidToken(r reason) error { return ErrInvalidToken.because(r) }

// gate is the strict check that every token passes. It decides on the text, the
// key and the claims alone; whether a token is revoked is asked afterwards.
type gate struct {
	issuer        string
	audience      []string
	typ           string
	leeway        time.Duration // for iat and nbf only
	maxLifetime   time.Duration
	acceptExpired time.Duration // how long after exp a token still passes
	headers       *knownHeaders // nil: each one is read
}

// keyFinder returns the key with exactly that id.
type keyFinder func(ctx context.Context, kid string) (Key, error)

// check returns the claims of a token that is beyond doubt, and the key that
// signed it. Its steps are ordered so that nothing of an unverified token is
// believed: shape, header, key, signature, and only then the claims.
func (g *gate) check(ctx context.Context, token string, keys keyFinder, now time.Time) (Claims, Key, error) {
	fail := func(err error) (Claims, Key, error) { return Claims{}, Key{}, err }
	t, err := split(token)
	if err != nil {
		return fail(err)
	}
	h, known := g.headers.find(t.head)
	if !known {
		if h, err = readHeader(t.head); err != nil {
			return fail(err)
		}
	}
	key, err := keys(ctx, h.kid)
	if err != nil {
		return fail(err)
	}
	// RFC 8725, section 3.1: the key fixes the algorithm, the header only repeats it.
	if h.alg != key.Algorithm() {
		return fail(invalidToken(ReasonAlgorithm))
	}
	if h.typ != g.typ {
		return fail(invalidToken(ReasonType))
	}
	if key.verify(t.signed, t.sig) != nil {
		return fail(invalidToken(ReasonSignature))
	}
	if !known {
		g.headers.add(t.head, h)
	}
	c, err := parseClaims(t.payload)
	if err != nil {
		return fail(err)
	}
	return c, key, g.judge(&c, now)
}

// compact is a token taken apart.
type compact struct {
	head    string // as it was written
	signed  []byte // head and payload, as they were written
	sig     []byte
	payload string
}

// split takes a compact serialization apart (RFC 7515, section 7.1). Each
// segment must be what encoding its own bytes gives: no padding, no line
// breaks, no unused bits. A second spelling of a token would slip past every
// comparison of its text. (That of the header is left to readHeader.)
func split(token string) (compact, error) {
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	switch {
	case len(token) > maxTokenBytes,
		first <= 0 || last-first < 2 || last == len(token)-1,
		strings.IndexByte(token, '\r') >= 0, strings.IndexByte(token, '\n') >= 0:
		return compact{}, invalidToken(ReasonMalformed)
	}
	// One buffer for all: the text, and behind it what it says.
	buf := make([]byte, len(token)+strictBase64.DecodedLen(len(token)))
	text, space := buf[:copy(buf, token)], buf[len(token):]
	middle, end := text[first+1:last], text[last+1:]
	n := strictBase64.DecodedLen(len(middle))
	payload, ok1 := decodeBytes(space[:n], middle)
	sig, ok2 := decodeBytes(space[n:n+strictBase64.DecodedLen(len(end))], end)
	if !ok1 || !ok2 {
		return compact{}, invalidToken(ReasonMalformed)
	}
	return compact{head: token[:first], signed: text[:last], sig: sig, payload: string(payload)}, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// decodeSegment decodes s into the start of buf.
func decodeSegment(buf []byte, s string) ([]byte, bool) {
	n := strictBase64.DecodedLen(len(s))
	// encoding/base64 skips line breaks even in strict mode.
	if n > len(buf) || strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, false
	}
	return decodeBytes(buf[:n:n], []byte(s))
}

// decodeBytes decodes s, which has no line breaks, into all of out.
func decodeBytes(out, s []byte) ([]byte, bool) {
	n, err := strictBase64.Decode(out, s)
	return out, err == nil && n == len(out)
}

// header holds the three members that a header may have.
type header struct{ alg, kid, typ string }

// readHeader reads the first segment of a token.
func readHeader(segment string) (header, error) {
	data, ok := decodeSegment(make([]byte, len(segment)), segment)
	if !ok {
		return header{}, invalidToken(ReasonMalformed)
	}
	return parseHeader(string(data))
}

// knownHeaders are the headers of tokens whose signature was good. All tokens of
// a key begin with the same text, and what it says need not be read again. Only
// genuine ones enter, so nobody can fill the few places with others.
type knownHeaders struct {
	places [4]atomic.Pointer[knownHeader]
	added  atomic.Uint32
}

type knownHeader struct {
	text string
	header
}

func (k *knownHeaders) find(text string) (header, bool) {
	if k == nil {
		return header{}, false
	}
	for i := range k.places {
		if h := k.places[i].Load(); h != nil && h.text == text {
			return h.header, true
		}
	}
	return header{}, false
}

func (k *knownHeaders) add(text string, h header) {
	if k == nil {
		return
	}
	place := k.added.Add(1) % uint32(len(k.places))
	k.places[place].Store(&knownHeader{strings.Clone(text), h})
}

// parseHeader refuses every other member: crit, b64, zip, jwk, jku, x5u, x5c
// and whatever may come all ask the verifier to do something that it does not
// do (RFC 7515, section 4.1.11; RFC 8725, section 3.10).
func parseHeader(data string) (header, error) {
	var space [4]strictjson.Member
	members, err := strictjson.ParseText(data, headerLimits, space[:0])
	if err != nil {
		return header{}, invalidToken(ReasonMalformed)
	}
	var h header
	for _, m := range members {
		s, ok := m.Value.Text()
		if !ok || !plainText(s) {
			return header{}, invalidToken(ReasonHeader)
		}
		switch m.Name() {
		case "alg":
			h.alg = s
		case "kid":
			h.kid = s
		case "typ":
			// RFC 7515, section 4.1.9: the prefix may be left out.
			h.typ = strings.TrimPrefix(s, "application/")
		default:
			return header{}, invalidToken(ReasonHeader)
		}
	}
	if h.alg == "" || h.kid == "" || h.typ == "" {
		return header{}, invalidToken(ReasonHeader)
	}
	return h, nil
}

// parseClaims reads the payload of a token whose signature fits.
func parseClaims(payload string) (Claims, error) {
	var space [24]strictjson.Member
	members, err := strictjson.ParseText(payload, claimLimits, space[:0])
	if err != nil {
		return Claims{}, invalidToken(ReasonMalformed)
	}
	c := Claims{raw: payload}
	for _, m := range members {
		if !c.set(m) {
			return Claims{}, invalidToken(ReasonClaims)
		}
	}
	// All six are required of every token: one without exp would live for
	// ever, one without jti could not be revoked.
	if c.Issuer == "" || c.Subject == "" || c.Audience == nil || c.ID == "" ||
		c.IssuedAt.IsZero() || c.ExpiresAt.IsZero() {
		return Claims{}, invalidToken(ReasonClaims)
	}
	return c, nil
}

// set stores one claim, and reports false if its value has not the type that
// its name demands. Names that are not ours are left in the raw claims.
func (c *Claims) set(m strictjson.Member) (ok bool) {
	switch m.Name() {
	case "iss":
		c.Issuer, ok = text(m.Value)
	case "sub":
		c.Subject, ok = text(m.Value)
	case "jti":
		c.ID, ok = text(m.Value)
	case "sid":
		c.SessionID, ok = text(m.Value)
	case "aud":
		c.Audience, ok = textOrTexts(m.Value)
	case "roles":
		c.Roles, ok = texts(m.Value)
	case "iat":
		c.IssuedAt, ok = numericDate(m.Value)
	case "exp":
		c.ExpiresAt, ok = numericDate(m.Value)
	case "nbf":
		c.NotBefore, ok = numericDate(m.Value)
	case "gen":
		c.Generation, ok = counter(m.Value)
	case "ver":
		c.Version, ok = counter(m.Value)
	default:
		ok = true
	}
	return ok
}

func text(v strictjson.Value) (string, bool) {
	s, ok := v.Text()
	return s, ok && plainText(s)
}

func texts(v strictjson.Value) ([]string, bool) {
	list, ok := v.Strings()
	for _, s := range list {
		ok = ok && plainText(s)
	}
	return list, ok
}

// textOrTexts reads aud: a string, or an array of strings (RFC 7519, section 4.1.3).
func textOrTexts(v strictjson.Value) ([]string, bool) {
	if s, ok := text(v); ok {
		return []string{s}, true
	}
	return texts(v)
}

// numericDate reads a time as an integer of seconds. RFC 7519, section 2, also
// allows fractions; nobody issues them, and readers round them differently.
func numericDate(v strictjson.Value) (time.Time, bool) {
	n, ok := v.Int()
	if !ok || n <= 0 || n >= maxNumericDate {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

func counter(v strictjson.Value) (int64, bool) {
	n, ok := v.Int()
	return n, ok && n > 0
}

// judge compares well-formed claims with what this gate expects.
func (g *gate) judge(c *Claims, now time.Time) error {
	switch {
	case c.Issuer != g.issuer:
		return invalidToken(ReasonIssuer)
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(g.audience, a) }):
		return invalidToken(ReasonAudience)
	case c.ExpiresAt.Sub(c.IssuedAt) > g.maxLifetime:
		return invalidToken(ReasonLifetime)
	}
	return g.inTime(c, now)
}

// inTime refuses a token on and after its exp (RFC 7519, section 4.1.4), and
// before its nbf and iat. The leeway is for a clock that runs ahead on the
// issuing node, so it never prolongs a token.
func (g *gate) inTime(c *Claims, now time.Time) error {
	switch {
	case !now.Before(c.ExpiresAt.Add(g.acceptExpired)):
		return invalidToken(ReasonExpired)
	case c.NotBefore.After(now.Add(g.leeway)), c.IssuedAt.After(now.Add(g.leeway)):
		return invalidToken(ReasonNotYetValid)
	}
	return nil
}

// ValidClaimName reports whether a claim may have this name: 1 to 128 of the
// letters a to z and A to Z, digits, and _ - . : /. The rule is exact so that
// no writer of JSON, however sloppy, can turn a name into two claims
// (GHSA-4cf7-xm37-g63h).
func ValidClaimName(name string) bool {
	return name != "" && len(name) <= 128 && strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.:/", r))
	}) < 0
}

// reservedClaims are set by this package alone.
var reservedClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "ver", "roles"}

// ReservedClaim reports whether a claim is set by this package alone: neither a
// hook nor a [TokenProfile] may set it. The case does not matter: our verifiers
// compare exactly, but encoding/json takes "Sub" for sub, and so do many readers
// that are built on it.
func ReservedClaim(name string) bool {
	return slices.ContainsFunc(reservedClaims, func(r string) bool { return strings.EqualFold(r, name) })
}

// checkExtra refuses claims of a hook that it may not set.
func checkExtra(extra map[string]any) error {
	for name := range extra {
		if !ValidClaimName(name) {
			return fmt.Errorf("a claim name that is not allowed: %q", name)
		}
		if ReservedClaim(name) {
			return fmt.Errorf("claim %q is reserved", name)
		}
	}
	return nil
}

// sign makes a token of a type. The payload is read back through the same
// parser that verifiers use: what leaves here passes there, and holds exactly
// what was set.
func sign(key Key, typ string, c Claims, extra map[string]any) (string, error) {
	if err := checkExtra(extra); err != nil {
		return "", err
	}
	payload, err := encodeClaims(c, extra)
	if err != nil {
		return "", err
	}
	read, err := parseClaims(string(payload))
	if err != nil {
		return "", fmt.Errorf("claims that no verifier would accept: %s", Reason(err))
	}
	if !read.sameTexts(&c) {
		return "", errors.New("claims with text that is not UTF-8")
	}
	head := key.head(typ)
	out := make([]byte, 0, len(head)+2+strictBase64.EncodedLen(len(payload)+maxSignature))
	out = append(out, head...)
	out = append(out, '.')
	out = strictBase64.AppendEncode(out, payload)
	sig, err := key.sign(out)
	if err != nil {
		return "", err
	}
	out = append(out, '.')
	out = strictBase64.AppendEncode(out, sig)
	if len(out) > maxTokenBytes {
		return "", fmt.Errorf("the token has %d bytes, more than %d: make the claims smaller", len(out), maxTokenBytes)
	}
	return string(out), nil
}

// sameTexts compares what JSON can change on the way: it has U+FFFD for what is
// not UTF-8, which would be somebody else's name.
func (c *Claims) sameTexts(o *Claims) bool {
	return c.Issuer == o.Issuer && c.Subject == o.Subject && c.ID == o.ID && c.SessionID == o.SessionID &&
		slices.Equal(c.Audience, o.Audience) && slices.Equal(c.Roles, o.Roles)
}

// maxSignature is what most keys need; a longer one costs a copy.
const maxSignature = 256

// encodeHeader returns the first segment of the tokens of a type.
func encodeHeader(alg, kid, typ string) string {
	h := make([]byte, 0, 192)
	h = append(h, `{"alg":`...)
	h = appendString(h, alg)
	h = append(h, `,"kid":`...)
	h = appendString(h, kid)
	h = append(h, `,"typ":`...)
	h = appendString(h, typ)
	return strictBase64.EncodeToString(append(h, '}'))
}

// encodeClaims writes the claims in a fixed order, the extra ones last and sorted.
func encodeClaims(c Claims, extra map[string]any) ([]byte, error) {
	b := make([]byte, 0, 384)
	b = append(b, `{"iss":`...)
	b = appendString(b, c.Issuer)
	b = append(b, `,"sub":`...)
	b = appendString(b, c.Subject)
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		b = appendString(b, c.Audience[0])
	} else {
		b = appendStrings(b, c.Audience)
	}
	b = appendInt(b, "iat", c.IssuedAt.Unix())
	b = appendInt(b, "exp", c.ExpiresAt.Unix())
	b = append(b, `,"jti":`...)
	b = appendString(b, c.ID)
	if c.SessionID != "" {
		b = append(b, `,"sid":`...)
		b = appendString(b, c.SessionID)
		b = appendInt(b, "gen", c.Generation)
	}
	if c.Version > 0 {
		b = appendInt(b, "ver", c.Version)
	}
	if c.Roles != nil {
		b = append(b, `,"roles":`...)
		b = appendStrings(b, c.Roles)
	}
	return appendExtra(b, extra)
}

func appendExtra(b []byte, extra map[string]any) ([]byte, error) {
	names := make([]string, 0, len(extra))
	for name := range extra {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, err := json.Marshal(extra[name])
		if err != nil {
			return nil, fmt.Errorf("claim %q: %w", name, err)
		}
		b = append(b, ',')
		b = appendString(b, name)
		b = append(b, ':')
		b = append(b, value...)
	}
	return append(b, '}'), nil
}

func appendInt(b []byte, name string, n int64) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, n, 10)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString writes a JSON string. Plain ASCII, the usual case, is copied;
// encoding/json escapes the rest.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
