package simplejwtlogin_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/compat"
	sjl "github.com/go-jwtauth/jwtauth/compat/simplejwtlogin"
)

var bg = context.Background()

// epoch is when tests begin.
var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	testIssuer   = "https://auth.example.test"
	testPassword = "correct horse battery staple"
	otherPass    = "a wholly different phrase"
	namespace    = "/wp-json/simple-jwt-login/v1"
	goodCode     = "k7Jq2ZxW9pLr4TnV8sDf3A"
	editorCode   = "Zq8wE3rT6yU1iO5pA9sD2f"
	oldCode      = "Hn4bG7vF1cD8xS5zA2qW9e"
)

// kit is a site with the dialect mounted as in a host, and a clock to move.
type kit struct {
	auth    *jwtauth.Auth
	api     *sjl.API
	handler http.Handler
	clock   *authtest.Clock
	mail    *authtest.Mailbox
}

var testKey = sync.OnceValues(func() (jwtauth.Key, error) { return jwtauth.GenerateKey("ES256") })

// config is an Auth that can do everything, with hashes that cost nothing.
func config(t testing.TB, c *authtest.Clock) jwtauth.Config {
	t.Helper()
	return jwtauth.Config{
		Issuer:    testIssuer,
		Keys:      must(jwtauth.NewKeySet(must(testKey())(t)))(t),
		Secret:    []byte("0f3c9a7e55d1428bb6a0e2c4971d8f36"),
		Store:     jwtauth.NewMemoryStore(),
		Now:       c.Now,
		Logger:    slog.New(slog.DiscardHandler),
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true, MaxConcurrent: 4, MaxQueue: 1000},
		Limits:    jwtauth.LimitConfig{Disabled: true},
		Lockout:   jwtauth.LockoutConfig{Disabled: true},
		Cookies:   jwtauth.CookieConfig{Enabled: true},
		CORS:      jwtauth.CORSConfig{Origins: []string{"https://app.example.test"}},
		AutoLogin: jwtauth.AutoLoginConfig{Origins: []string{"https://app.example.test"}, TargetFromRequest: true,
			Target:             "https://app.example.test/u/{{user_login}}?id={{user_id}}&mail={{user_email}}&from={{site_url}}&first={{user_first_name}}",
			AcceptAccessTokens: true, DangerouslySkipConfirmation: true},
	}
}

// everything is a dialect with all its routes.
func everything(v sjl.Version) sjl.Config {
	return sjl.Config{Version: v, Register: true, RegisterJWT: true, Delete: true, ResetPassword: true, ResetWithJWT: true,
		AutoLogin: true, RefreshTokens: v == sjl.V4, UserMeta: []string{"phone"}, AutoLoginForward: []string{"lang"}}
}

func newKit(t testing.TB, cfg sjl.Config, change ...func(*jwtauth.Config)) *kit {
	t.Helper()
	k := &kit{clock: authtest.NewClock(epoch), mail: &authtest.Mailbox{}}
	core := config(t, k.clock)
	core.Mail.Mailer = k.mail
	for _, f := range change {
		f(&core)
	}
	k.auth = must(jwtauth.New(core))(t)
	k.api = must(sjl.New(k.auth, cfg))(t)
	mux := http.NewServeMux()
	compat.Mount(mux, "/wp-json", compat.Site{Auth: k.auth, URL: testIssuer, Namespaces: map[string]http.Handler{
		"simple-jwt-login/v1": k.api.Handler(),
		"host/v1":             k.api.Authenticate(http.HandlerFunc(whoami)),
	}})
	k.handler = mux
	return k
}

// whoami is a route of the host's own that everybody may see.
func whoami(w http.ResponseWriter, r *http.Request) {
	user := "nobody"
	if id, ok := jwtauth.FromContext(r.Context()); ok {
		user = id.UserID
	}
	compat.WriteJSON(w, 200, map[string]string{"hello": user})
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

func (k *kit) register(t testing.TB, name string, roles ...string) jwtauth.User {
	t.Helper()
	return must(k.auth.CreateUser(bg, jwtauth.Registration{Username: name, Email: name + "@example.test",
		Password: testPassword, Name: "Test " + name, Roles: roles}))(t)
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at returns a member, by a path with dots.
func (a answer) at(path string) any {
	var v any = a.body
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (a answer) str(path string) string { s, _ := a.at(path).(string); return s }

func (a answer) number() int { n, _ := a.at("data.errorCode").(float64); return int(n) }

type object = map[string]any

// send makes one request to a route, with a JSON body where there is one.
func (k *kit) send(t testing.TB, method, route string, body object, header ...string) answer {
	t.Helper()
	var reader io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = strings.NewReader(string(data))
	}
	r := httptest.NewRequest(method, namespace+route, reader)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return k.do(t, r)
}

func (k *kit) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("answer is not a JSON object: %v\n%s", err, a.text)
		}
	}
	return a
}

// login logs alice or somebody else in through the dialect.
func (k *kit) login(t testing.TB, name string) string {
	t.Helper()
	a := k.send(t, "POST", "/auth", object{"username": name, "password": testPassword})
	if a.status != 200 {
		t.Fatalf("login answered %d %s", a.status, a.text)
	}
	return a.str("data.jwt")
}

// mailedCode asks for a code and returns it from the mail.
func (k *kit) mailedCode(t testing.TB, email string) string {
	t.Helper()
	if err := k.auth.ForgotPassword(bg, jwtauth.Forgot{Login: email, Delivery: jwtauth.DeliveryCode}); err != nil {
		t.Fatal(err)
	}
	if err := k.auth.Close(bg); err != nil {
		t.Fatal(err)
	}
	sent := k.mail.Messages()
	return sent[len(sent)-1].Data.Code
}
