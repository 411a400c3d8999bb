package jwtauth

// These tests are internal because the look-up of a key is: from outside it
// shows only in whether a whole token is accepted, not in when and how often
// the other service was asked.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/publicnet"
)

// keyServer answers with a set that a test changes, and counts the requests.
type keyServer struct {
	*httptest.Server
	hits atomic.Int64

	mu     sync.Mutex
	answer http.HandlerFunc
}

func newKeyServer(t *testing.T, body string) *keyServer {
	s := &keyServer{}
	s.serve(body)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(body string) {
	s.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

func (s *keyServer) fail() {
	s.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

func (s *keyServer) handle(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// testClock is set by hand.
type testClock struct{ ns atomic.Int64 }

func (c *testClock) now() time.Time      { return time.Unix(1767225600, c.ns.Load()) }
func (c *testClock) add(d time.Duration) { c.ns.Add(int64(d)) }

// jwksFor returns a JWKS that asks the server at times that the clock says.
func jwksFor(t *testing.T, s *keyServer) (*JWKS, *testClock) {
	t.Helper()
	clock := &testClock{}
	j, err := NewJWKS(JWKSConfig{URL: s.URL, InsecureAllowHTTP: true, AllowPrivateAddresses: true,
		Now: clock.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return j, clock
}

// jwkOf is the public JWK of one of the vector keys, changed by more members;
// an empty value removes one.
func jwkOf(t testing.TB, alg, kid string, more ...string) string {
	t.Helper()
	set, err := NewVerifyKeySet(vectorKey(t, alg, true))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := set.JWKS()
	var file struct{ Keys []map[string]any }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	m := file.Keys[0]
	m["kid"] = kid
	for i := 0; i < len(more); i += 2 {
		delete(m, more[i])
		if more[i+1] != "" {
			m[more[i]] = json.RawMessage(more[i+1])
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func setOf(jwks ...string) string { return `{"keys":[` + strings.Join(jwks, ",") + `]}` }

// expect asks for a key and checks the answer and the number of requests that
// were made until then.
func expect(t *testing.T, j *JWKS, s *keyServer, kid string, want error, hits int64) Key {
	t.Helper()
	k, err := j.key(t.Context(), kid)
	if want == nil && (err != nil || k.ID() != kid) || want != nil && (!errors.Is(err, want) || k != Key{}) {
		t.Fatalf("key %q: got %v, %v; want %v", kid, k, err, want)
	}
	if got := s.hits.Load(); got != hits {
		t.Fatalf("key %q: %d requests were made, want %d", kid, got, hits)
	}
	return k
}

// expectBehind asks for a key that is refused at once, and waits for the request
// that goes on behind it.
func expectBehind(t *testing.T, j *JWKS, s *keyServer, kid string, hits int64) {
	t.Helper()
	if _, err := j.key(t.Context(), kid); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("key %q: got %v, want %v", kid, err, ErrUnavailable)
	}
	j.mu.Lock()
	flight := j.flight
	j.mu.Unlock()
	if flight != nil {
		<-flight
	}
	if got := s.hits.Load(); got != hits {
		t.Fatalf("key %q: %d requests were made, want %d", kid, got, hits)
	}
}

func TestKeysAreFetchedOnceAndCached(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algRS256, "rs-1"), jwkOf(t, algES256, "es-1")))
	j, clock := jwksFor(t, s)
	if s.hits.Load() != 0 {
		t.Fatal("NewJWKS asked the server")
	}
	rs := expect(t, j, s, "rs-1", nil, 1)
	es := expect(t, j, s, "es-1", nil, 1)
	sig, err := vectorKey(t, algES256, false).sign([]byte("x"))
	if err != nil || es.verify([]byte("x"), sig) != nil || es.CanSign() || rs.Algorithm() != algRS256 {
		t.Errorf("the keys are %v and %v", rs, es)
	}
	clock.add(defaultJWKSRefresh - 1)
	expect(t, j, s, "rs-1", nil, 1)
	clock.add(1)
	if again := expect(t, j, s, "rs-1", nil, 2); again != rs {
		t.Error("a key that did not change is another Key after the refresh")
	}
}

// CVE-2025-22149 was a cache that forgot to forget.
func TestRemovedKeysLeaveAtTheNextRefresh(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algRS256, "rs-1"), jwkOf(t, algES256, "es-1")))
	j, clock := jwksFor(t, s)
	expect(t, j, s, "es-1", nil, 1)
	s.serve(setOf(jwkOf(t, algRS256, "rs-1")))
	clock.add(23 * time.Hour) // quiet for long, and still not accepted once more
	expect(t, j, s, "es-1", ErrNotFound, 2)
	expect(t, j, s, "rs-1", nil, 2)
	s.serve(setOf())
	clock.add(defaultJWKSRefresh)
	expect(t, j, s, "rs-1", ErrNotFound, 3)
}

func TestKeyWithNewMaterialReplacesTheOldOne(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "k")))
	j, clock := jwksFor(t, s)
	old := expect(t, j, s, "k", nil, 1)
	s.serve(setOf(jwkOf(t, algRS256, "k")))
	clock.add(defaultJWKSRefresh)
	if k := expect(t, j, s, "k", nil, 2); k == old || k.Algorithm() != algRS256 {
		t.Errorf("the key is still %v", k)
	}
}

func TestUnknownKidsMakeOneRequestAMinute(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "es-1")))
	j, clock := jwksFor(t, s)
	expect(t, j, s, "es-1", nil, 1)
	for i := range 100 {
		expect(t, j, s, fmt.Sprintf("made-up-%d", i), ErrNotFound, 1)
	}
	clock.add(jwksPause - 1)
	expect(t, j, s, "made-up", ErrNotFound, 1)
	s.serve(setOf(jwkOf(t, algES256, "es-1"), jwkOf(t, algRS256, "rs-new")))
	clock.add(1)
	expect(t, j, s, "rs-new", nil, 2)
	for i := range 100 {
		expect(t, j, s, fmt.Sprintf("made-up-%d", i), ErrNotFound, 2)
	}
}

func TestFloodOfUnknownKidsIsOneFlight(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "es-1")))
	j, _ := jwksFor(t, s)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := j.key(t.Context(), fmt.Sprintf("made-up-%d", i)); !errors.Is(err, ErrNotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if n := s.hits.Load(); n != 1 {
		t.Errorf("%d requests were made", n)
	}
}

func TestOutage(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "es-1")))
	j, clock := jwksFor(t, s)
	expect(t, j, s, "es-1", nil, 1)
	s.fail()
	clock.add(defaultJWKSRefresh)
	expect(t, j, s, "es-1", nil, 2) // waited for the request, which failed
	expect(t, j, s, "es-1", nil, 2)
	expect(t, j, s, "made-up", ErrNotFound, 2)
	clock.add(defaultJWKSMaxAge - defaultJWKSRefresh - 1)
	expect(t, j, s, "es-1", nil, 3)
	clock.add(1)
	expect(t, j, s, "es-1", ErrUnavailable, 3) // too early to ask again
	clock.add(jwksRetry)
	expectBehind(t, j, s, "es-1", 4)
	s.serve(setOf(jwkOf(t, algES256, "es-1")))
	clock.add(jwksRetry)
	expectBehind(t, j, s, "es-1", 5)
	expect(t, j, s, "es-1", nil, 5)
}

func TestNothingCachedAndUnreachableIsAFault(t *testing.T) {
	s := newKeyServer(t, "")
	s.fail()
	j, clock := jwksFor(t, s)
	expect(t, j, s, "es-1", ErrUnavailable, 1)
	expect(t, j, s, "es-1", ErrUnavailable, 1)
	clock.add(jwksRetry - 1)
	expect(t, j, s, "es-1", ErrUnavailable, 1)
	s.serve(setOf(jwkOf(t, algES256, "es-1")))
	clock.add(1)
	expectBehind(t, j, s, "es-1", 2)
	expect(t, j, s, "es-1", nil, 2)
}

func TestClockSetBackMakesNothingFresh(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "es-1")))
	j, clock := jwksFor(t, s)
	expect(t, j, s, "es-1", nil, 1)
	s.serve(setOf())
	clock.add(-time.Hour)
	expect(t, j, s, "es-1", ErrNotFound, 2)
}

// hangingJWKS is answered when the test lets it.
func hangingJWKS(t *testing.T, clock func() time.Time, answer func(*http.Request) (*http.Response, error)) *JWKS {
	t.Helper()
	j, err := NewJWKS(JWKSConfig{URL: "https://id.example.com/jwks", Now: clock, Logger: slog.New(slog.DiscardHandler),
		Client: &http.Client{Transport: roundTripper(answer)}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
}

func TestWaitersHonourTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		body := setOf(jwkOf(t, algES256, "es-1"))
		j := hangingJWKS(t, time.Now, func(*http.Request) (*http.Response, error) { <-release; return respond(body), nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := j.key(ctx, "es-1"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		// The request goes on for those who still wait.
		var got error
		go func() { _, got = j.key(t.Context(), "es-1") }()
		synctest.Wait()
		close(release)
		synctest.Wait()
		if got != nil {
			t.Errorf("got %v", got)
		}
	})
}

func TestSilentServerIsGivenTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := hangingJWKS(t, time.Now, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		if _, err := j.key(t.Context(), "es-1"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != jwksTimeout {
			t.Errorf("it took %v", d)
		}
	})
}

// While the other service hangs, those who can be served from the last set are
// held up once and not at each retry.
func TestNobodyWaitsTwiceInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, requests, down := setOf(jwkOf(t, algES256, "es-1")), 0, false
		j := hangingJWKS(t, time.Now, func(r *http.Request) (*http.Response, error) {
			requests++
			if !down {
				return respond(body), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ask := func() time.Duration {
			t.Helper()
			start := time.Now()
			if _, err := j.key(t.Context(), "es-1"); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		ask()
		down = true
		time.Sleep(defaultJWKSRefresh)
		if d := ask(); d != jwksTimeout {
			t.Errorf("the first one waited %v", d)
		}
		for range 20 {
			time.Sleep(jwksPause)
			if d := ask(); d != 0 {
				t.Errorf("a later one waited %v", d)
			}
		}
		if synctest.Wait(); requests != 22 {
			t.Errorf("%d requests were made", requests)
		}
		time.Sleep(jwksTimeout) // the last one ends
		down = false
		time.Sleep(jwksPause)
		ask() // starts a request in the background
		synctest.Wait()
		if ask(); requests != 23 {
			t.Errorf("%d requests were made after the outage", requests)
		}
	})
}

// While the other service hangs and there is no set to go on with, one request
// waits and the others are refused at once, whether or not their tokens are known.
func TestServiceThatHangsHoldsOneRequest(t *testing.T) {
	key := vectorKey(t, algES256, false)
	body := setOf(jwkOf(t, algES256, key.ID()))
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		j := hangingJWKS(t, time.Now, func(r *http.Request) (*http.Response, error) {
			if down.Load() {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return respond(body), nil
		})
		j.cfg.MaxAge = time.Hour
		v, err := NewVerifier(VerifierConfig{JWKS: j, Issuer: "i", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		token, err := sign(key, typeAccess, Claims{Issuer: "i", Subject: "a", Audience: []string{"i"}, ID: "x",
			IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(what string, want error, wait time.Duration) {
			t.Helper()
			start := time.Now()
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
			if d := time.Since(start); d != wait {
				t.Errorf("%s: waited %v, want %v", what, d, wait)
			}
		}
		ask("first", ErrUnavailable, jwksTimeout)
		for range 5 {
			ask("in the outage", ErrUnavailable, 0)
			time.Sleep(jwksRetry)
		}
		down.Store(false)
		time.Sleep(time.Minute)
		ask("starts the request that will be answered", ErrUnavailable, 0)
		synctest.Wait()
		ask("after the outage", nil, 0)
		ask("remembered", nil, 0)
		down.Store(true)
		time.Sleep(2 * time.Hour)
		ask("remembered, and the set is too old", ErrUnavailable, jwksTimeout)
		ask("remembered, in the outage", ErrUnavailable, 0)
		synctest.Wait() // the request behind it has met a server that is down
		down.Store(false)
		time.Sleep(jwksTimeout + jwksRetry)
		ask("starts the request that will be answered", ErrUnavailable, 0)
		synctest.Wait()
		ask("remembered all along", nil, 0)
	})
}

func TestQueryOfTheURLIsNotShown(t *testing.T) {
	bodies := map[string]string{"failed request": "", "bad answer": "{}", "key passed over": setOf(`{"kid":"x"}`)}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			j, err := NewJWKS(JWKSConfig{URL: "https://id.example.com/jwks?api_key=hunter2", Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Client: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					if body == "" {
						return nil, errors.New("no route")
					}
					return respond(body), nil
				})}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = j.key(t.Context(), "x")
			if err == nil || strings.Contains(err.Error()+fmt.Sprint(errors.Unwrap(err)), "hunter2") {
				t.Errorf("the error is %v", err)
			}
			if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "https://id.example.com/jwks") {
				t.Errorf("the log is %s", text)
			}
		})
	}
}

func TestAnswersRefused(t *testing.T) {
	es := jwkOf(t, algES256, "es-1")
	many := make([]string, maxJWKSKeys+1)
	for i := range many {
		many[i] = jwkOf(t, algES256, fmt.Sprint("k", i))
	}
	redirect := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			_, _ = io.WriteString(w, setOf(es))
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}
	write := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = io.WriteString(w, setOf(es)) }
	}
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		because string
	}{
		{"redirect", redirect, "status 302"},
		{"status 500", status(500), "status 500"},
		{"status 404", status(404), "status 404"},
		{"status 203", status(203), "status 203"},
		{"more than 1 MiB", write(setOf(es) + strings.Repeat(" ", maxJWKSBytes)), "1 MiB"},
		{"more than 100 keys", write(setOf(many...)), "100 keys"},
		{"empty answer", write(""), "not a JSON Web Key Set"},
		{"HTML", write("<html>"), "not a JSON Web Key Set"},
		{"array", write("[" + es + "]"), "not a JSON Web Key Set"},
		{"object without keys", write("{}"), "not a JSON Web Key Set"},
		{"keys that are null", write(`{"keys":null}`), "not a JSON Web Key Set"},
		{"keys that are an object", write(`{"keys":{}}`), "not a JSON Web Key Set"},
		{"key that is a number", write(`{"keys":[1]}`), "not a JSON Web Key Set"},
		{"keys in capitals", write(`{"KEYS":[` + es + `]}`), "not a JSON Web Key Set"},
		{"trailing data", write(setOf(es) + "{}"), "not a JSON Web Key Set"},
		{"keys twice", write(`{"keys":[],"keys":[` + es + `]}`), "duplicate"},
		{"member of a key twice", write(setOf(strings.Replace(es, `{`, `{"use":"enc",`, 1))), "duplicate"},
		{"two keys with one kid", write(setOf(es, jwkOf(t, algRS256, "es-1"))), "same kid"},
		{"symmetric key among others", write(setOf(es, `{"kty":"oct","kid":"hs","k":"c2VjcmV0"}`)), "symmetric"},
		{"symmetric key that calls itself EC", write(setOf(es, `{"kty":"EC","kid":"hs","k":"c2VjcmV0"}`)), "symmetric"},
	} {
		t.Run(c.name+" refused", func(t *testing.T) {
			s := newKeyServer(t, "")
			s.handle(c.answer)
			j, clock := jwksFor(t, s)
			_, err := j.key(t.Context(), "es-1")
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.because) {
				t.Fatalf("got %v", err)
			}
			if c.name == "redirect" && s.hits.Load() != 1 {
				t.Error("the redirect was followed")
			}
			// And the last good set stays when such an answer follows it.
			s.serve(setOf(es))
			clock.add(jwksRetry)
			expectBehind(t, j, s, "es-1", 2)
			expect(t, j, s, "es-1", nil, 2)
			s.handle(c.answer)
			clock.add(defaultJWKSRefresh)
			expect(t, j, s, "es-1", nil, 3)
		})
	}
}

func TestKeysOfOthers(t *testing.T) {
	es := func(more ...string) string { return jwkOf(t, algES256, "k", more...) }
	rs := func(more ...string) string { return jwkOf(t, algRS256, "k", more...) }
	b64 := func(b []byte) string { return `"` + base64.RawURLEncoding.EncodeToString(b) + `"` }
	weak, err := parsePEM([]byte(vectorKeys(t)["rsa1024_public_pem"]))
	if err != nil {
		t.Fatal(err)
	}
	point, _ := vectorKey(t, algES256, true).m.public.(*ecdsa.PublicKey).Bytes()
	n := new(big.Int).Set(vectorKey(t, algRS256, true).m.public.(*rsa.PublicKey).N)
	for _, c := range []struct {
		name, jwk string
		ok        bool
	}{
		{"EC key accepted", es(), true},
		{"RSA key accepted", rs(), true},
		{"EC key without alg accepted", es("alg", ""), true},
		{"RSA key without alg accepted", rs("alg", ""), true},
		{"key without use accepted", es("use", ""), true},
		{"key_ops with verify accepted", es("key_ops", `["sign","verify"]`), true},
		{"unknown members accepted", es("x5c", `["MIIB"]`, "x5t", `"x"`, "x5u", `"https://attacker.test/"`, "ext", "true"), true},
		{"exponent with a leading zero accepted", rs("e", b64([]byte{0, 1, 0, 1})), true},
		{"use for encryption passed over", es("use", `"enc"`), false},
		{"use that is no string passed over", es("use", `["sig"]`), false},
		{"key_ops without verify passed over", es("key_ops", `["encrypt"]`), false},
		{"empty key_ops passed over", es("key_ops", `[]`), false},
		{"key_ops that is no list passed over", es("key_ops", `"verify"`), false},
		{"missing kid passed over", es("kid", ""), false},
		{"empty kid passed over", es("kid", `""`), false},
		{"kid that is a number passed over", es("kid", `1`), false},
		{"kid of 129 characters passed over", es("kid", `"`+strings.Repeat("k", 129)+`"`), false},
		{"kid with a line break passed over", es("kid", `"a\nb"`), false},
		{"private EC key passed over", es("d", b64(point[1:33])), false},
		{"private RSA key passed over", rs("d", b64(point)), false},
		{"single private parameter passed over", rs("p", b64(point)), false},
		{"none passed over", es("alg", `"none"`), false},
		{"ES384 passed over", es("alg", `"ES384"`), false},
		{"RS256 for an EC key passed over", es("alg", `"RS256"`), false},
		{"ES256 for an RSA key passed over", rs("alg", `"ES256"`), false},
		{"HS256 for an RSA key passed over", rs("alg", `"HS256"`), false},
		{"PS256 passed over", rs("alg", `"PS256"`), false},
		{"RSA-OAEP passed over", rs("alg", `"RSA-OAEP"`), false},
		{"alg that is null passed over", rs("alg", `null`), false},
		{"P-384 passed over", es("crv", `"P-384"`), false},
		{"curve in lower case passed over", es("crv", `"p-256"`), false},
		{"unknown kty passed over", es("kty", `"OKP"`), false},
		{"kty in lower case passed over", rs("kty", `"rsa"`), false},
		{"missing y passed over", es("y", ""), false},
		{"x with 33 bytes passed over", es("x", b64(append([]byte{0}, point[1:33]...))), false},
		{"point split at the wrong byte passed over", es("x", b64(point[1:32]), "y", b64(point[32:])), false},
		{"x with padding passed over", es("x", `"`+base64.URLEncoding.EncodeToString(point[1:33])+`"`), false},
		{"x with a line break passed over", es("x", `"`+base64.RawURLEncoding.EncodeToString(point[1:33])+`\n"`), false},
		{"point off the curve passed over", es("x", b64(point[33:]), "y", b64(point[1:33])), false},
		{"point of zeros passed over", es("x", b64(make([]byte, 32)), "y", b64(make([]byte, 32))), false},
		{"RSA with 1024 bits passed over", rs("n", b64(weak.(*rsa.PublicKey).N.Bytes())), false},
		{"even modulus passed over", rs("n", b64(n.SetBit(n, 0, 0).Bytes())), false},
		{"modulus of a megabit passed over", rs("n", b64(bytes.Repeat([]byte{0xff}, 1<<17))), false},
		{"missing exponent passed over", rs("e", ""), false},
		{"exponent 3 passed over", rs("e", `"Aw"`), false},
		{"exponent of 32 bits passed over", rs("e", b64([]byte{0xff, 0xff, 0xff, 0xff})), false},
		{"exponent 2^64+65537 passed over", rs("e", b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, skipped, err := parseJWKS([]byte(setOf(c.jwk, jwkOf(t, algES256, "other"))))
			if err != nil {
				t.Fatal(err)
			}
			want := 1
			if c.ok {
				want = 2
			}
			if len(keys) != want || len(keys)+len(skipped) != 2 || keys["other"] == (Key{}) {
				t.Errorf("keys are %v, passed over %v", keys, skipped)
			}
		})
	}
}

// Amazon's kids are base64 with padding.
func TestKidsOfOthersMayHoldMore(t *testing.T) {
	kid := "1ZQ+aB/c=@#~!"
	keys, _, err := parseJWKS([]byte(setOf(jwkOf(t, algES256, kid))))
	if err != nil || keys[kid].ID() != kid {
		t.Errorf("got %v, %v", keys, err)
	}
}

// What KeySet publishes is what JWKS reads.
func TestJWKSRoundTrip(t *testing.T) {
	es, rs := vectorKey(t, algES256, false), vectorKey(t, algRS256, false)
	set, err := NewKeySet(es, rs, vectorKey(t, algHS256, false))
	if err != nil {
		t.Fatal(err)
	}
	text, err := set.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	keys, skipped, err := parseJWKS(text)
	if err != nil || len(skipped) != 0 || len(keys) != 2 || !sameKey(keys["es-1"], es) || !sameKey(keys["rs-1"], rs) {
		t.Errorf("got %v, %v, %v", keys, skipped, err)
	}
}

func TestPrivateAddressesAreNotDialled(t *testing.T) {
	s := newKeyServer(t, setOf(jwkOf(t, algES256, "es-1")))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	// The name passes the check of the URL; its address is seen at the dial.
	j, err := NewJWKS(JWKSConfig{URL: "http://localhost:" + port, InsecureAllowHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.key(t.Context(), "es-1"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), publicnet.ErrPrivate.Error()) {
		t.Errorf("got %v", err)
	}
	if s.hits.Load() != 0 {
		t.Error("the server was asked")
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	// net/http reads the environment once, so what is set is looked at.
	if tr := (JWKSConfig{}).httpClient().Transport.(*http.Transport); tr.Proxy != nil {
		t.Error("the transport has a proxy")
	}
}

func TestClientOfTheHostIsCopiedAndTamed(t *testing.T) {
	jar := struct{ http.CookieJar }{}
	given := &http.Client{Timeout: time.Hour, Jar: jar}
	c := JWKSConfig{Client: given}.httpClient()
	if c == given || c.Timeout != jwksTimeout || c.Jar != nil || c.CheckRedirect == nil {
		t.Errorf("the client is %+v", c)
	}
	if c := (JWKSConfig{Client: &http.Client{}}).httpClient(); c.Timeout != jwksTimeout {
		t.Errorf("a client without a time-out has %v", c.Timeout)
	}
	if given.Timeout != time.Hour || given.Jar == nil || given.CheckRedirect != nil {
		t.Error("the client of the host was changed")
	}
}

func TestHTTPSWithACertificateOfOnesOwn(t *testing.T) {
	body := setOf(jwkOf(t, algES256, "es-1"))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	defer s.Close()
	quiet := slog.New(slog.DiscardHandler)
	trusting, err1 := NewJWKS(JWKSConfig{URL: s.URL, Client: s.Client(), Logger: quiet})
	strict, err2 := NewJWKS(JWKSConfig{URL: s.URL, AllowPrivateAddresses: true, Logger: quiet})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := trusting.key(t.Context(), "es-1"); err != nil {
		t.Error(err)
	}
	if _, err := strict.key(t.Context(), "es-1"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func FuzzJWKS(f *testing.F) {
	f.Add([]byte(setOf(jwkOf(f, algES256, "a"), jwkOf(f, algRS256, "b"))))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, _, err := parseJWKS(body)
		if err != nil && keys != nil {
			t.Error("keys with an error")
		}
		for kid, k := range keys {
			if k.ID() != kid || k.CanSign() || k.m.public == nil || checkRawKey(k.m.public) != nil {
				t.Errorf("%q gave %v", kid, k)
			}
		}
	})
}
