package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
)

// postbox keeps the mails that were sent.
type postbox struct{ authtest.Mailbox }

// last waits until all mail has left and returns the latest of a kind.
func (p *postbox) last(t testing.TB, a *jwtauth.Auth, kind string) (jwtauth.Message, bool) {
	t.Helper()
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Backward(p.Messages()) {
		if m.Kind == kind {
			return m, true
		}
	}
	return jwtauth.Message{}, false
}

const resetPage = "https://app.example.test/reset"

// newMailAuth is an Auth whose mails arrive in a postbox.
func newMailAuth(t testing.TB, change ...func(*jwtauth.Config)) (*jwtauth.Auth, *clock, *postbox) {
	t.Helper()
	box := &postbox{}
	a, c := newAuth(t, append([]func(*jwtauth.Config){func(cfg *jwtauth.Config) {
		cfg.Mail.Mailer = box
		cfg.Recovery.URL = resetPage
	}}, change...)...)
	return a, c, box
}

// forget asks for a new password and returns the secret of the mail.
func forget(t testing.TB, a *jwtauth.Auth, box *postbox, login string, d jwtauth.Delivery) string {
	t.Helper()
	if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: login, Delivery: d}); err != nil {
		t.Fatal(err)
	}
	if d == jwtauth.DeliveryCode {
		m, ok := box.last(t, a, jwtauth.MailResetCode)
		if !ok {
			t.Fatal("no mail with a code")
		}
		return m.Data.Code
	}
	m, ok := box.last(t, a, jwtauth.MailResetLink)
	if !ok {
		t.Fatal("no mail with a link")
	}
	u := must(url.Parse(m.Data.Link))(t)
	return u.Query().Get("token")
}

const newPassword = "a fresh pass phrase"

func TestForgottenPasswordOverHTTP(t *testing.T) {
	for _, delivery := range []jwtauth.Delivery{jwtauth.DeliveryLink, jwtauth.DeliveryCode} {
		t.Run(string(delivery), func(t *testing.T) {
			a, _, box := newMailAuth(t)
			h := a.Handler()
			g := register(t, a, "alice")
			r := post(t, h, "/forgot-password", object{"login": "Alice@Example.test", "delivery": delivery})
			if r.status != 200 || r.str("message") != "Password reset email sent." {
				t.Fatalf("answered %d %s", r.status, r.text)
			}
			body := object{"login": "alice", "password": newPassword}
			if delivery == jwtauth.DeliveryLink {
				m, _ := box.last(t, a, jwtauth.MailResetLink)
				link := must(url.Parse(m.Data.Link))(t)
				if !strings.HasPrefix(m.Data.Link, resetPage+"?") || link.Query().Get("login") != "alice@example.test" || m.To != "alice@example.test" {
					t.Errorf("mail to %s with %s", m.To, m.Data.Link)
				}
				if !strings.Contains(m.Text, m.Data.Link) || !strings.Contains(m.HTML, "https://app.example.test/reset?login=alice%40example.test") || m.Subject == "" {
					t.Errorf("the link is not in the mail:\n%s\n%s", m.Text, m.HTML)
				}
				body["token"] = link.Query().Get("token")
			} else {
				m, _ := box.last(t, a, jwtauth.MailResetCode)
				if len(m.Data.Code) != 6 || !strings.Contains(m.Text, m.Data.Code) || !strings.Contains(m.HTML, m.Data.Code) {
					t.Errorf("the code %q is not in the mail", m.Data.Code)
				}
				body["otp"] = m.Data.Code
			}
			r = post(t, h, "/reset-password", body)
			if r.status != 200 || r.str("message") != "Password updated successfully." || r.at("token") != nil {
				t.Fatalf("answered %d %s", r.status, r.text)
			}
			_, err := a.Verify(bg, g.AccessToken)
			wantErr(t, "access token from before", err, jwtauth.ErrInvalidToken)
			_, err = a.Refresh(bg, g.RefreshToken)
			wantErr(t, "refresh token from before", err, jwtauth.ErrInvalidRefreshToken)
			_, err = a.Login(bg, jwtauth.Credentials{Login: "alice", Password: testPassword})
			wantErr(t, "old password", err, jwtauth.ErrInvalidCredentials)
			if _, err := a.Login(bg, jwtauth.Credentials{Login: "alice", Password: newPassword}); err != nil {
				t.Errorf("new password: %v", err)
			}
			wantError(t, post(t, h, "/reset-password", body), 400, "invalid_code")
			if _, ok := box.last(t, a, jwtauth.MailPasswordChanged); !ok {
				t.Error("the owner was not told")
			}
		})
	}
}

// No answer tells whether an account exists, and each takes the same steps.
func TestRecoveryDoesNotTellWhoExists(t *testing.T) {
	store := &countingStore{MemoryStore: jwtauth.NewMemoryStore(), calls: map[string]int{}}
	a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	if err := a.Disable(bg, register(t, a, "gone").User.ID); err != nil {
		t.Fatal(err)
	}
	steps := func(path string, body object) (answer, string) {
		store.calls = map[string]int{}
		r := post(t, a.Handler(), path, body)
		return r, fmt.Sprint(store.calls)
	}
	for _, tc := range []struct {
		path string
		body object
	}{
		{"/forgot-password", object{"delivery": "link"}},
		{"/forgot-password", object{"delivery": "otp"}},
		{"/reset-password", object{"password": newPassword, "token": "wrong"}},
		{"/reset-password", object{"password": newPassword, "code": "000000"}},
		{"/reset-password", object{"password": "alice", "code": "000000"}},
		{"/verify-email", object{"token": "wrong"}},
		{"/verify-email/resend", object{}},
	} {
		tc.body["login"] = "alice"
		first, firstSteps := steps(tc.path, tc.body)
		for _, login := range []string{"nobody", "nobody@example.test", "gone"} {
			tc.body["login"] = login
			r, s := steps(tc.path, tc.body)
			if r.text != first.text || r.status != first.status || s != firstSteps {
				t.Errorf("%s for %s: %d %s %s, for alice: %d %s %s", tc.path, login, r.status, r.text, s, first.status, first.text, firstSteps)
			}
		}
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	for _, m := range box.Messages() {
		if m.To != "alice@example.test" {
			t.Errorf("mail %s to %s", m.Kind, m.To)
		}
	}
}

// countingStore counts the calls of the verbs around codes and accounts.
type countingStore struct {
	*jwtauth.MemoryStore
	calls map[string]int
}

func (s *countingStore) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	s.calls["UserByLogin"]++
	return s.MemoryStore.UserByLogin(ctx, key)
}

func (s *countingStore) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (jwtauth.Count, error) {
	s.calls["Hit"]++
	return s.MemoryStore.Hit(ctx, key, limit, window, now)
}

func (s *countingStore) PutCode(ctx context.Context, c jwtauth.OneTimeCode) error {
	s.calls["PutCode"]++
	return s.MemoryStore.PutCode(ctx, c)
}

func (s *countingStore) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	s.calls["ConsumeCode"]++
	return s.MemoryStore.ConsumeCode(ctx, key, hash, now)
}

func (s *countingStore) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	s.calls["Append"]++
	return s.MemoryStore.Append(ctx, r)
}

func reset(a *jwtauth.Auth, login, token, code string) error {
	return a.ResetPassword(bg, jwtauth.PasswordReset{Login: login, Password: newPassword, Token: token, Code: code})
}

func TestResetSecrets(t *testing.T) {
	cases := []struct {
		name string
		run  func(t *testing.T, a *jwtauth.Auth, c *clock, box *postbox) error
		want error
	}{
		{"link just before its end accepted", func(t *testing.T, a *jwtauth.Auth, c *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			c.Add(time.Hour - time.Second)
			return reset(a, "alice", token, "")
		}, nil},
		{"link at its end refused", func(t *testing.T, a *jwtauth.Auth, c *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			c.Add(time.Hour)
			return reset(a, "alice", token, "")
		}, jwtauth.ErrInvalidCode},
		{"code after 9:59 accepted", func(t *testing.T, a *jwtauth.Auth, c *clock, box *postbox) error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			c.Add(10*time.Minute - time.Second)
			return reset(a, "alice", "", code)
		}, nil},
		{"code after 10:00 refused", func(t *testing.T, a *jwtauth.Auth, c *clock, box *postbox) error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			c.Add(10 * time.Minute)
			return reset(a, "alice", "", code)
		}, jwtauth.ErrInvalidCode},
		{"older link refused after a newer request", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			forget(t, a, box, "alice", jwtauth.DeliveryCode)
			return reset(a, "alice", token, "")
		}, jwtauth.ErrInvalidCode},
		{"link refused after the password changed otherwise", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			u := userOf(t, a, "alice")
			if err := a.ChangePassword(bg, jwtauth.PasswordChange{UserID: u.ID, Current: testPassword, New: "changed meanwhile here"}); err != nil {
				t.Fatal(err)
			}
			return reset(a, "alice", token, "")
		}, jwtauth.ErrInvalidCode},
		{"link refused after the account was deleted", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			if err := a.DeleteUser(bg, userOf(t, a, "alice").ID); err != nil {
				t.Fatal(err)
			}
			register(t, a, "alice")
			return reset(a, "alice", token, "")
		}, jwtauth.ErrInvalidCode},
		{"somebody else's link refused", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			register(t, a, "bob")
			token := forget(t, a, box, "bob", jwtauth.DeliveryLink)
			return reset(a, "alice", token, "")
		}, jwtauth.ErrInvalidCode},
		{"code as token refused", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			return reset(a, "alice", "x"+forget(t, a, box, "alice", jwtauth.DeliveryCode), "")
		}, jwtauth.ErrInvalidCode},
		{"token and code together refused", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			return reset(a, "alice", code, code)
		}, jwtauth.ErrInvalidInput},
		{"nothing refused", func(_ *testing.T, a *jwtauth.Auth, _ *clock, _ *postbox) error { return reset(a, "alice", "", "") }, jwtauth.ErrMissingFields},
		{"access token as link token refused", func(t *testing.T, a *jwtauth.Auth, _ *clock, _ *postbox) error {
			return reset(a, "alice", login(t, a, "alice").AccessToken, "")
		}, jwtauth.ErrInvalidCode},
		{"right code after four wrong ones accepted", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			for range 4 {
				_ = reset(a, "alice", "", otherCode(code))
			}
			return reset(a, "alice", "", code)
		}, nil},
		{"right code after five wrong ones refused", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			for range 5 {
				_ = reset(a, "alice", "", otherCode(code))
			}
			return reset(a, "alice", "", code)
		}, jwtauth.ErrInvalidCode},
		{"link survives any number of guesses", func(t *testing.T, a *jwtauth.Auth, _ *clock, box *postbox) error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			for i := range 100 {
				_ = reset(a, "alice", fmt.Sprint("guess", i), "")
				_ = reset(a, "alice", "", "123456")
			}
			return reset(a, "alice", token, "")
		}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a, c, box := newMailAuth(t)
			register(t, a, "alice")
			err := tc.run(t, a, c, box)
			if tc.want == nil && err != nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("ResetPassword = %v, want %v", err, tc.want)
			}
		})
	}
}

func otherCode(code string) string {
	if code == "111111" {
		return "222222"
	}
	return "111111"
}

// A code is exactly six ASCII digits; what merely looks like them is none.
func TestCodesThatOnlyLookRightAreRefused(t *testing.T) {
	a, _, box := newMailAuth(t)
	register(t, a, "alice")
	code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
	fullwidth := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, code)
	for _, text := range []string{" " + code, code + " ", code + "\n", "0" + code, code[1:], "-" + code[1:], fullwidth, arabic, code + "\x00"} {
		wantErr(t, fmt.Sprintf("%q", text), reset(a, "alice", "", text), jwtauth.ErrInvalidCode)
	}
	if err := reset(a, "alice", "", code); err != nil {
		t.Errorf("the code itself: %v", err)
	}
}

// However many codes are asked for, from however many addresses and at once,
// the tries on one account stay under the ceiling.
func TestGuessingCodesHitsTheCeiling(t *testing.T) {
	store := &guessStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, c, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "alice")
	for range 24 {
		for range 5 {
			code := forgetQuietly(t, a, box)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { _ = reset(a, "alice", "", otherCode(code)) })
			}
			wg.Wait()
		}
		c.Add(time.Hour - time.Second)
	}
	if n := store.compared(); n > 60 {
		t.Errorf("%d guesses were compared in 24 hours, want at most 30 in any 24-hour window that starts with a guess", n)
	}
	link := forget(t, a, box, "alice", jwtauth.DeliveryLink)
	if err := reset(a, "alice", link, ""); err != nil {
		t.Errorf("recovery by link during the attack: %v", err)
	}
}

func forgetQuietly(t *testing.T, a *jwtauth.Auth, box *postbox) string {
	t.Helper()
	if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice", Delivery: jwtauth.DeliveryCode}); err != nil {
		t.Fatal(err)
	}
	m, _ := box.last(t, a, jwtauth.MailResetCode)
	return m.Data.Code
}

// guessStore counts the comparisons of short codes.
type guessStore struct {
	*jwtauth.MemoryStore
	mu sync.Mutex
	n  int
}

func (s *guessStore) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
	return s.MemoryStore.ConsumeCode(ctx, key, hash, now)
}

func (s *guessStore) compared() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func TestOneTimeSecretsWorkOnce(t *testing.T) {
	const n = 100
	count := func(f func() error) int {
		ok := 0
		for _, r := range race(n, func() (*jwtauth.Grant, error) { return nil, f() }) {
			if r.err == nil {
				ok++
			}
		}
		return ok
	}
	run := map[string]func(t *testing.T, a *jwtauth.Auth, box *postbox) func() error{
		"link": func(t *testing.T, a *jwtauth.Auth, box *postbox) func() error {
			token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
			return func() error { return reset(a, "alice", token, "") }
		},
		"code": func(t *testing.T, a *jwtauth.Auth, box *postbox) func() error {
			code := forget(t, a, box, "alice", jwtauth.DeliveryCode)
			return func() error { return reset(a, "alice", "", code) }
		},
		"SSO token": func(t *testing.T, a *jwtauth.Auth, _ *postbox) func() error {
			x := exchangeFor(t, newRemote(t), "42")
			return func() error { _, err := a.ExchangeSSO(bg, x); return err }
		},
		"auto-login token": func(t *testing.T, a *jwtauth.Auth, _ *postbox) func() error {
			token := must(a.AutoLoginToken(bg, userOf(t, a, "alice").ID))(t)
			return func() error { _, _, err := a.AutoLogin(bg, token, ""); return err }
		},
	}
	for name, prepare := range run {
		t.Run(name, func(t *testing.T) {
			a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.SSO = ssoConfig(t) })
			register(t, a, "alice")
			if ok := count(prepare(t, a, box)); ok != 1 {
				t.Errorf("%d of %d uses succeeded", ok, n)
			}
		})
	}
}

func TestWeakPasswordDoesNotUseTheLinkUp(t *testing.T) {
	a, _, box := newMailAuth(t)
	register(t, a, "alice")
	token := forget(t, a, box, "alice", jwtauth.DeliveryLink)
	for _, weak := range []string{"short", "password1", "alice@example.test", "Test alice1"} {
		err := a.ResetPassword(bg, jwtauth.PasswordReset{Login: "alice", Password: weak, Token: token})
		wantErr(t, weak, err, jwtauth.ErrWeakPassword)
	}
	if err := reset(a, "alice", token, ""); err != nil {
		t.Errorf("a good password afterwards: %v", err)
	}
}

// What a password has to do with its owner is told to the owner alone.
func TestPolicyDoesNotTellStrangersAboutAnAccount(t *testing.T) {
	a, _, _ := newMailAuth(t)
	register(t, a, "alice")
	for _, login := range []string{"alice", "nobody"} {
		err := a.ResetPassword(bg, jwtauth.PasswordReset{Login: login, Password: "alice@example.test", Token: "wrong"})
		wantErr(t, login, err, jwtauth.ErrInvalidCode)
	}
}

func TestForgotPasswordIsBoundedPerAccount(t *testing.T) {
	a, c, box := newMailAuth(t)
	register(t, a, "alice")
	for range 50 {
		if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice"}); err != nil {
			t.Fatal(err)
		}
	}
	box.last(t, a, "")
	if n := len(box.Messages()); n != 5 {
		t.Errorf("%d mails in an hour, want 5", n)
	}
	c.Add(time.Hour)
	forget(t, a, box, "alice", jwtauth.DeliveryLink)
}

func TestDelivery(t *testing.T) {
	for _, tc := range []struct {
		url, delivery string
		want          string // kind of the mail, or ""
	}{
		{resetPage, "", jwtauth.MailResetLink}, {resetPage, "link", jwtauth.MailResetLink}, {resetPage, "otp", jwtauth.MailResetCode},
		{"", "", jwtauth.MailResetCode}, {"", "otp", jwtauth.MailResetCode}, {"", "link", ""}, {resetPage, "LINK", ""}, {resetPage, "sms", ""},
	} {
		t.Run(tc.url+" "+tc.delivery, func(t *testing.T) {
			a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Recovery.URL = tc.url })
			register(t, a, "alice")
			err := a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice", Delivery: jwtauth.Delivery(tc.delivery)})
			if tc.want == "" {
				wantErr(t, "delivery", err, jwtauth.ErrInvalidInput)
			} else if _, ok := box.last(t, a, tc.want); err != nil || !ok {
				t.Errorf("no mail %s: %v", tc.want, err)
			}
		})
	}
}

// The link depends on the configuration and on nothing that a request says.
func TestHeadersDoNotChangeTheLink(t *testing.T) {
	a, _, box := newMailAuth(t)
	register(t, a, "alice")
	r := send(t, a.Handler(), request{method: "POST", path: "http://evil.test/forgot-password", body: `{"login":"alice","redirect_uri":"https://evil.test","callback":"https://evil.test"}`,
		header: map[string][]string{"Content-Type": {"application/json"}, "X-Forwarded-Host": {"evil.test"}, "X-Forwarded-Proto": {"http"},
			"Forwarded": {"host=evil.test"}, "Host": {"evil.test"}, "Origin": {"https://evil.test"}}})
	m, ok := box.last(t, a, jwtauth.MailResetLink)
	if r.status != 200 || !ok || !strings.HasPrefix(m.Data.Link, resetPage+"?") || strings.Contains(m.Text+m.HTML, "evil") {
		t.Errorf("answered %d, link %s", r.status, m.Data.Link)
	}
}

func TestEmailVerification(t *testing.T) {
	required := func(cfg *jwtauth.Config) {
		cfg.Verification = jwtauth.VerificationConfig{Required: true, URL: "https://app.example.test/verify?x=1"}
	}
	a, c, box := newMailAuth(t, required)
	h := a.Handler()
	r := post(t, h, "/register", object{"username": "alice", "email": "alice@example.test", "password": testPassword})
	if r.status != 200 || r.at("token_response") != nil || r.at("user.ID") != 1.0 {
		t.Fatalf("answered %d %s, want an account without tokens", r.status, r.text)
	}
	wantError(t, post(t, h, "/token", object{"username": "alice", "password": "wrong"}), 401, "invalid_credentials")
	wantError(t, post(t, h, "/token", object{"username": "alice", "password": testPassword}), 403, "email_not_verified")
	m, _ := box.last(t, a, jwtauth.MailVerify)
	token := must(url.Parse(m.Data.Link))(t).Query().Get("token")
	if r := post(t, h, "/verify-email/resend", object{"login": "alice"}); r.status != 200 {
		t.Fatalf("resend answered %d %s", r.status, r.text)
	}
	wantError(t, post(t, h, "/verify-email", object{"login": "alice", "token": token}), 400, "invalid_code")
	m, _ = box.last(t, a, jwtauth.MailVerify)
	token = must(url.Parse(m.Data.Link))(t).Query().Get("token")
	wantErr(t, "verification link for a reset", reset(a, "alice", token, ""), jwtauth.ErrInvalidCode)
	c.Add(23 * time.Hour)
	if r := post(t, h, "/verify-email", object{"login": "alice", "token": token}); r.status != 200 {
		t.Fatalf("answered %d %s", r.status, r.text)
	}
	login(t, a, "alice")
	before := len(box.Messages())
	if r := post(t, h, "/verify-email/resend", object{"login": "alice"}); r.status != 200 {
		t.Errorf("resend for a verified account answered %d", r.status)
	}
	if box.last(t, a, ""); len(box.Messages()) != before {
		t.Error("a verified account got another mail")
	}
	code := func(cfg *jwtauth.Config) { cfg.Verification.Required = true }
	b, _, box2 := newMailAuth(t, code)
	if _, err := b.Register(bg, jwtauth.Registration{Username: "bob", Email: "bob@example.test", Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	m, _ = box2.last(t, b, jwtauth.MailVerify)
	if err := b.VerifyEmail(bg, jwtauth.EmailVerification{Login: "bob", Code: m.Data.Code}); err != nil {
		t.Errorf("verification by code: %v", err)
	}
	login(t, b, "bob")
}

func TestPrivateRegistrationTellsTheOwnerByMail(t *testing.T) {
	a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Registration.Private = true })
	for range 2 {
		if _, err := a.Register(bg, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: testPassword}); err != nil {
			t.Fatal(err)
		}
	}
	if m, ok := box.last(t, a, jwtauth.MailTaken); !ok || m.To != "alice@example.test" {
		t.Errorf("no note to the owner: %v", m.To)
	}
}

// A mail server that hangs, panics or is down changes no answer. Failures are
// recorded when the last try is over, and a later success is a success.
func TestMailFailures(t *testing.T) {
	cases := []struct {
		name   string
		send   func(ctx context.Context, try int) error
		failed bool
	}{
		{"always down", func(context.Context, int) error { return errors.New("refused") }, true},
		{"panics", func(context.Context, int) error { panic("mailer") }, true},
		{"hangs until its context ends", func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, true},
		{"works the third time", func(_ context.Context, try int) error {
			if try < 3 {
				return errors.New("greylisted")
			}
			return nil
		}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &scriptedMailer{send: tc.send}
				store := jwtauth.NewMemoryStore()
				a, _ := newAuth(t, func(cfg *jwtauth.Config) {
					cfg.Store, cfg.Mail.Mailer, cfg.Recovery.URL = store, m, resetPage
				})
				register(t, a, "alice")
				start := time.Now()
				if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice"}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("the request waited %v for the mailer", took)
				}
				if err := a.Close(bg); err != nil {
					t.Error(err)
				}
				if got := hasEvent(t, a, jwtauth.EventMailFailed); got != tc.failed {
					t.Errorf("failure recorded: %v, want %v", got, tc.failed)
				}
			})
		})
	}
}

type scriptedMailer struct {
	mu   sync.Mutex
	try  int
	send func(ctx context.Context, try int) error
}

func (m *scriptedMailer) Send(ctx context.Context, _ jwtauth.Message) error {
	m.mu.Lock()
	m.try++
	try := m.try
	m.mu.Unlock()
	return m.send(ctx, try)
}

func TestMailQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := jwtauth.NewMemoryStore()
		a, _ := newAuth(t, func(cfg *jwtauth.Config) {
			cfg.Store, cfg.Recovery.URL = store, resetPage
			cfg.Mail = jwtauth.MailConfig{Queue: 3, Mailer: &scriptedMailer{send: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }}}
		})
		for i := range 5 {
			name := fmt.Sprint("user", i)
			register(t, a, name)
			if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: name}); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		if !hasEvent(t, a, jwtauth.EventMailFailed) {
			t.Error("a mail that did not fit was not recorded")
		}
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if err := a.Close(ctx); err == nil {
			t.Error("Close said that all mail has left")
		}
		if err := a.Close(bg); err != nil {
			t.Error(err)
		}
	})
}

func TestNewSaysThatMailIsDropped(t *testing.T) {
	var logs strings.Builder
	newAuth(t, func(cfg *jwtauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil)) })
	if !strings.Contains(logs.String(), "no mailer") {
		t.Errorf("log reads %q", logs.String())
	}
}

// A mail that was sent before the secret changed is good until it expires.
func TestMailedSecretsSurviveANewSecret(t *testing.T) {
	for _, delivery := range []jwtauth.Delivery{jwtauth.DeliveryLink, jwtauth.DeliveryCode} {
		t.Run(string(delivery), func(t *testing.T) {
			store := jwtauth.NewMemoryStore()
			before, _, box := newMailAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
			register(t, before, "alice")
			secret := forget(t, before, box, "alice", delivery)
			after, _, _ := newMailAuth(t, func(cfg *jwtauth.Config) {
				cfg.Store, cfg.Secret, cfg.OldSecrets = store, []byte("7b1e4d80c2a95f36e0418bd7f25a9c63"), [][]byte{testSecret}
			})
			r := jwtauth.PasswordReset{Login: "alice", Password: newPassword, Token: secret}
			if delivery == jwtauth.DeliveryCode {
				r.Token, r.Code = "", secret
				wantErr(t, "wrong code", reset(after, "alice", "", otherCode(secret)), jwtauth.ErrInvalidCode)
			}
			if err := after.ResetPassword(bg, r); err != nil {
				t.Errorf("under the new secret: %v", err)
			}
			wantErr(t, "again", after.ResetPassword(bg, r), jwtauth.ErrInvalidCode)
		})
	}
}
