// Package authtest helps to test a program that uses jwtauth: an Auth that lives
// in memory and costs nothing, a clock to move, the mails that were sent, a
// client that is signed in, and tokens that must be refused.
//
//	func TestNotesAreForMembers(t *testing.T) {
//		site := authtest.New(t)
//		server := httptest.NewServer(notes.Handler(site.Auth))
//		defer server.Close()
//
//		member := authtest.SignedIn(t, site.Auth, "member")
//		if r, err := member.Get(server.URL + "/notes"); err != nil || r.StatusCode != 200 {
//			t.Errorf("a member: %v %v", r, err)
//		}
//		for name, token := range site.BadTokens(t) {
//			if r := get(t, server.URL+"/notes", token); r.StatusCode != 401 {
//				t.Errorf("%s: %d", name, r.StatusCode)
//			}
//		}
//	}
//
// Nothing in here is for programs that serve people: hashes are cheap to guess,
// and nothing is limited.
package authtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Issuer is the issuer of a [Site], unless its configuration is changed.
const Issuer = "https://auth.example.test"

// Password is the one of every account that this package makes.
const Password = "correct horse battery staple"

// Epoch is when the clock of a [Site] starts.
var Epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Site is an Auth with everything that a test wants to reach.
type Site struct {
	// Auth is what the program under test gets.
	Auth *jwtauth.Auth
	// Clock is the time that it goes by.
	Clock *Clock
	// Mail has what it sent.
	Mail *Mailbox
	// Config is what it was made from.
	Config jwtauth.Config
}

// New returns a site in memory: a new ES256 key, hashes that cost nothing, no
// limits, no log. Each change gets the configuration before the Auth is made of
// it. A configuration that is refused ends the test.
func New(t testing.TB, change ...func(*jwtauth.Config)) *Site {
	t.Helper()
	site := &Site{Clock: NewClock(Epoch), Mail: new(Mailbox)}
	site.Config = jwtauth.Config{
		Issuer:    Issuer,
		Keys:      newKeys(t),
		Secret:    []byte("9d41c07be2f85a36d1704c9be8532fa6"),
		Store:     jwtauth.NewMemoryStore(),
		Now:       site.Clock.Now,
		Logger:    slog.New(slog.DiscardHandler),
		Mail:      jwtauth.MailConfig{Mailer: site.Mail},
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true, MaxConcurrent: 4, MaxQueue: 1000},
		Limits:    jwtauth.LimitConfig{Disabled: true},
	}
	for _, f := range change {
		f(&site.Config)
	}
	auth, err := jwtauth.New(site.Config)
	if err != nil {
		t.Fatal(err)
	}
	site.Auth = auth
	return site
}

func newKeys(t testing.TB) *jwtauth.KeySet {
	t.Helper()
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Clock is a time that tests move. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the time, for [jwtauth.Config].Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the time, also back.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Mailbox is a [jwtauth.Mailer] that keeps what it is given. The zero value is
// ready to use, and safe for concurrent use.
type Mailbox struct {
	mu       sync.Mutex
	messages []jwtauth.Message
}

// Send implements [jwtauth.Mailer].
func (m *Mailbox) Send(_ context.Context, message jwtauth.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, message)
	return nil
}

// Messages returns what was sent, the first one first. Mail leaves behind the
// requests: [jwtauth.Auth.Close] waits for it.
func (m *Mailbox) Messages() []jwtauth.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]jwtauth.Message(nil), m.messages...)
}

// LastMail waits for the mail that is under way and returns the last one of a
// kind, such as [jwtauth.MailResetLink]. Without one the test ends.
func (s *Site) LastMail(t testing.TB, kind string) jwtauth.Message {
	t.Helper()
	if err := s.Auth.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := s.Mail.Messages()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kind == kind {
			return list[i]
		}
	}
	t.Fatalf("authtest: no mail of the kind %q among %d", kind, len(list))
	return jwtauth.Message{}
}

// accounts numbers the accounts of this process, so that none collides.
var accounts atomic.Int64

// NewUser makes an account with these roles; without any it has the default ones.
// Its password is [Password].
func NewUser(t testing.TB, auth *jwtauth.Auth, roles ...string) jwtauth.User {
	t.Helper()
	name := fmt.Sprintf("user%d", accounts.Add(1))
	u, err := auth.CreateUser(t.Context(), jwtauth.Registration{Username: name, Email: name + "@example.test",
		Password: Password, Roles: roles, EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// SignIn makes an account with these roles and opens a session for it.
func SignIn(t testing.TB, auth *jwtauth.Auth, roles ...string) *jwtauth.Grant {
	t.Helper()
	g, err := auth.Issue(t.Context(), NewUser(t, auth, roles...).ID)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// SignedIn makes an account with these roles and returns a client whose requests
// carry its access token, wherever they go.
func SignedIn(t testing.TB, auth *jwtauth.Auth, roles ...string) *http.Client {
	t.Helper()
	return Client(SignIn(t, auth, roles...).AccessToken)
}

// Client returns a client whose requests carry a token, wherever they go.
func Client(token string) *http.Client {
	return &http.Client{Transport: bearer(token)}
}

// bearer is a transport that adds a token to requests that have none.
type bearer string

// RoundTrip implements [http.RoundTripper].
func (token bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(token))
	}
	return http.DefaultTransport.RoundTrip(r)
}
