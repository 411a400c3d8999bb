package jwtauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

// epoch is when tests begin, unless they say otherwise.
var epoch = authtest.Epoch

// clock is a time that tests move.
type clock = authtest.Clock

const (
	testIssuer   = authtest.Issuer
	testPassword = authtest.Password
)

// testSecret is random enough for New and the same in every run.
var testSecret = []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36")

// plain is what the tests here start from: the same key for all, and no mailer.
func plain(t testing.TB) func(*jwtauth.Config) {
	keys := testKeys(t)
	return func(cfg *jwtauth.Config) {
		cfg.Keys, cfg.Secret, cfg.Mail = keys, testSecret, jwtauth.MailConfig{}
	}
}

// testConfig is a whole configuration with hashes that cost nothing.
func testConfig(t testing.TB) jwtauth.Config {
	t.Helper()
	return authtest.New(t, plain(t)).Config
}

var testKey = sync.OnceValues(func() (jwtauth.Key, error) { return jwtauth.GenerateKey("ES256") })

func testKeys(t testing.TB) *jwtauth.KeySet {
	t.Helper()
	keys, err := jwtauth.NewKeySet(must(testKey())(t))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// must(f())(t) is the value of f, or the end of the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newAuth makes an Auth and the clock it runs on.
func newAuth(t testing.TB, change ...func(*jwtauth.Config)) (*jwtauth.Auth, *clock) {
	t.Helper()
	site := authtest.New(t, append([]func(*jwtauth.Config){plain(t)}, change...)...)
	return site.Auth, site.Clock
}

// register makes an account and returns what it was granted.
func register(t testing.TB, a *jwtauth.Auth, name string) *jwtauth.Grant {
	t.Helper()
	return must(a.Register(context.Background(), jwtauth.Registration{
		Username: name, Email: name + "@example.test", Password: testPassword, Name: "Test " + name}))(t)
}

// login logs an account in that register made.
func login(t testing.TB, a *jwtauth.Auth, name string) *jwtauth.Grant {
	t.Helper()
	return must(a.Login(context.Background(), jwtauth.Credentials{Username: name, Password: testPassword}))(t)
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at returns a member, by a path with dots.
func (r answer) at(path string) any {
	var v any = r.body
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (r answer) str(path string) string { s, _ := r.at(path).(string); return s }

// request is what a test sends. A body that is not a string is sent as JSON.
type request struct {
	method, path string
	body         any
	token        string
	header       http.Header
	from         string // address; default 192.0.2.1
}

// send serves one request without a network.
func send(t testing.TB, h http.Handler, q request) answer {
	t.Helper()
	var body io.Reader = http.NoBody
	text, isText := q.body.(string)
	if q.body != nil && !isText {
		data, err := json.Marshal(q.body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	if text != "" {
		body = strings.NewReader(text)
	}
	r := httptest.NewRequest(q.method, q.path, body)
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if q.from != "" {
		r.RemoteAddr = q.from
	}
	w := httptest.NewRecorder()
	recorder.Record(t.Name(), h).ServeHTTP(w, r)
	return read(t, w)
}

func read(t testing.TB, w *httptest.ResponseRecorder) answer {
	t.Helper()
	a := answer{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("answer is not a JSON object: %v\n%s", err, a.text)
		}
	}
	return a
}

// post sends JSON.
func post(t testing.TB, h http.Handler, path string, body any) answer {
	t.Helper()
	return send(t, h, request{method: "POST", path: path, body: body})
}

// readVectors loads a file of testdata.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
