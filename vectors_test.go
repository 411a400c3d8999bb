package jwtauth_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/attack"
)

// vectorKit has the vectors, one verifier for each algorithm, and an Auth whose
// HTTP API uses the same keys.
type vectorKit struct {
	attack.Kit
	secret    []byte
	sets      map[string]*jwtauth.KeySet
	verifiers map[string]*jwtauth.Verifier
	auths     map[string]*jwtauth.Auth
}

func loadVectors(t testing.TB) *vectorKit {
	t.Helper()
	k := &vectorKit{Kit: attack.Load(t, "testdata/jwt"), sets: map[string]*jwtauth.KeySet{}, verifiers: map[string]*jwtauth.Verifier{}, auths: map[string]*jwtauth.Auth{}}
	keys := k.Keys
	k.secret = must(hex.DecodeString(keys.HS256))(t)
	old := must(jwtauth.HS256("hs-old", must(hex.DecodeString(keys.HS256Old))(t)))(t)
	now := func() time.Time { return time.Unix(k.Profile.Now, 0) }
	for alg, key := range map[string]jwtauth.Key{
		"HS256": must(jwtauth.HS256("hs-1", k.secret))(t),
		"RS256": must(jwtauth.RS256("rs-1", []byte(keys.RSA)))(t),
		"ES256": must(jwtauth.ES256("es-1", []byte(keys.P256)))(t),
	} {
		set := must(jwtauth.NewKeySet(key))(t)
		if alg == "HS256" {
			set = must(jwtauth.NewKeySet(key, old))(t)
		}
		k.sets[alg] = set
		cfg := testConfig(t)
		cfg.Issuer, cfg.Audience, cfg.Keys, cfg.Now = k.Profile.Iss, []string{k.Profile.Aud}, set, now
		cfg.Tokens = jwtauth.TokenConfig{TTL: time.Duration(k.Profile.MaxLifetimeSeconds) * time.Second, Leeway: -1}
		k.auths[alg] = must(jwtauth.New(cfg))(t)
		k.verifiers[alg] = must(jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: set, Issuer: k.Profile.Iss,
			Audience: []string{k.Profile.Aud}, Leeway: -1, Now: now, Logger: slog.New(slog.DiscardHandler)}))(t)
	}
	return k
}

// Every reject row is refused wherever a token is taken, every accept row is
// accepted by the verifier. The rows that leave a choice are decided here:
// NumericDates are integers, the type is lower case, the core trims nothing,
// and kinds are told apart by typ, so that a claim "token_use" means nothing.
func TestAttackVectors(t *testing.T) {
	k := loadVectors(t)
	decided := map[string]string{
		"A-typ-case": "reject", "A-exp-float": "reject", "B-algtype-Alg-and-alg": "reject",
		"F-shape-trail_space": "reject", "F-shape-trail_lf": "reject", "G-claims-trailing-ws": "accept",
		"H-exp-exponent": "reject", "G-claims-case-Sub-extra": "accept",
		"K-tokenuse-reset": "accept", "K-tokenuse-otp": "accept", "K-tokenuse-sso": "accept",
		"K-tokenuse-verify": "accept", "K-tokenuse-id": "accept",
	}
	for _, v := range k.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			want := v.Expect
			if want != "accept" && want != "reject" {
				want = decided[v.ID]
			}
			token := v.Text(t, k.secret)
			switch want {
			case "reject":
				k.checkRefused(t, v.Verifier, token)
			case "accept":
				id := must(k.verifiers[v.Verifier].Verify(context.Background(), token))(t)
				if id.UserID != "user-1" {
					t.Errorf("subject = %q, want user-1: %s", id.UserID, v.Why)
				}
			default:
				t.Fatalf("expect %q is not decided", v.Expect)
			}
		})
	}
}

func (k *vectorKit) checkRefused(t *testing.T, alg, token string) {
	t.Helper()
	if _, err := k.verifiers[alg].Verify(context.Background(), token); !errors.Is(err, jwtauth.ErrInvalidToken) {
		t.Errorf("Verify = %v, want ErrInvalidToken", err)
	}
	a := k.auths[alg]
	reached := false
	h := a.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	header := http.Header{"Authorization": {"Bearer " + token}}
	if r := send(t, h, request{method: "GET", path: "/", header: header}); reached || r.status != http.StatusUnauthorized {
		t.Errorf("middleware answered %d, reached %v", r.status, reached)
	}
	var seen bool
	open := a.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, seen = jwtauth.FromContext(r.Context()) }))
	if send(t, open, request{method: "GET", path: "/", header: header}); seen {
		t.Error("Authenticate identified the caller")
	}
	r := post(t, a.Handler(), "/token/validate", map[string]any{"token": token})
	tooLong := len(token) > 60<<10
	if r.status != http.StatusUnauthorized && !(tooLong && r.status == http.StatusRequestEntityTooLarge) {
		t.Errorf("/token/validate answered %d %s", r.status, r.text)
	}
	if !tooLong && token != "" && r.str("code") != "jwt_auth_invalid_token" {
		t.Errorf("/token/validate said %q, which tells more than it should", r.str("code"))
	}
}

// The examples of RFC 7515, appendix A, have good signatures and none of the
// claims that we require.
func TestRFC7515ExamplesRefused(t *testing.T) {
	k := loadVectors(t)
	var file struct {
		Examples []struct{ ID, Alg, JWS string }
	}
	readVectors(t, "jose/rfc7515_appendix_a.json", &file)
	if len(file.Examples) == 0 {
		t.Fatal("no examples")
	}
	for _, e := range file.Examples {
		for alg := range k.verifiers {
			t.Run(e.ID+" "+alg, func(t *testing.T) { k.checkRefused(t, alg, e.JWS) })
		}
	}
}

// Refresh tokens are opaque: only the exact text counts.
func TestOpaqueTokenVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID, Expect string
			Token      any
		}
	}
	readVectors(t, "web/opaque_token_vectors.json", &file)
	a, _ := newAuth(t)
	exact := register(t, a, "alice").RefreshToken
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			// The file's own token stands for the one that was issued.
			token := v.Token
			if s, ok := token.(string); ok {
				token = respell(s, exact)
			}
			if list, ok := token.([]any); ok && len(list) > 0 {
				token = []any{exact}
			}
			r := post(t, a.Handler(), "/token/refresh", map[string]any{"refresh_token": token})
			if v.Expect == "accept" && r.status != 200 || v.Expect == "reject" && (r.status < 400 || r.status >= 500) {
				t.Errorf("%s: answered %d %s", v.Expect, r.status, r.text)
			}
		})
	}
}

// respell does to the issued token what a vector did to its own.
func respell(s, issued string) string {
	const own = "Q2hhbmdlTWUtMDEyMzQ1Njc4OWFiY2RlZg"
	switch {
	case strings.Contains(s, own):
		return strings.Replace(s, own, issued, 1)
	case s == "Q2hhbmdlTWUtMDEyMzQ1Njc4OWFiY2RlZ":
		return issued[:len(issued)-1]
	case s == "Q2hhbmdlTWUtMDEy":
		return issued[:len(issued)/2]
	case strings.HasPrefix(s, "Q2hhbmdl\n"):
		return issued[:8] + "\n" + issued[8:]
	case strings.EqualFold(s, own):
		return strings.ToUpper(issued)
	}
	return s
}

// FuzzVerify checks that whatever is accepted re-encodes to itself, so that a
// token has one spelling.
func FuzzVerify(f *testing.F) {
	k := loadVectors(f)
	for _, v := range k.Vectors {
		if token := v.Text(f, k.secret); len(token) < 4096 && v.Verifier == "HS256" {
			f.Add(token)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := k.verifiers["HS256"].Verify(context.Background(), token)
		if err != nil {
			if !errors.Is(err, jwtauth.ErrInvalidToken) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		parts := strings.Split(token, ".")
		payload := base64.RawURLEncoding.EncodeToString(id.Claims.Raw())
		header := must(base64.RawURLEncoding.Strict().DecodeString(parts[0]))(t)
		if again := attack.SignHS256(k.secret, string(header), string(id.Claims.Raw())); again != token || payload != parts[1] {
			t.Fatalf("accepted a second spelling of %q", again)
		}
	})
}

// FuzzClaims signs what the fuzzer writes, so that the claims are reached.
func FuzzClaims(f *testing.F) {
	k := loadVectors(f)
	for _, v := range k.Vectors {
		if parts := strings.Split(v.Token, "."); len(parts) == 3 {
			header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
			claims, err2 := base64.RawURLEncoding.DecodeString(parts[1])
			if err1 == nil && err2 == nil {
				f.Add(header, claims)
			}
		}
	}
	f.Fuzz(func(t *testing.T, header, claims []byte) {
		token := attack.SignHS256(k.secret, string(header), string(claims))
		id, err := k.verifiers["HS256"].Verify(context.Background(), token)
		if err != nil {
			return
		}
		c := id.Claims
		now := time.Unix(k.Profile.Now, 0)
		if !c.ExpiresAt.After(now) || c.Issuer != k.Profile.Iss || !slices.Contains(c.Audience, k.Profile.Aud) || c.ID == "" || c.Subject == "" {
			t.Fatalf("accepted %s", claims)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := loadVectors(b)
	for _, alg := range []string{"HS256", "RS256", "ES256"} {
		i := slices.IndexFunc(k.Vectors, func(v attack.Vector) bool { return v.ID == "A-valid-"+alg })
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.verifiers[alg].Verify(b.Context(), k.Vectors[i].Token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRequire(b *testing.B) {
	a, _ := newAuth(b)
	token := register(b, a, "alice").AccessToken
	h := a.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
