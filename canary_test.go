package jwtauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Secrets are planted wherever this package meets one, every endpoint and every
// method is driven, into success and into each failure, and everything that is
// kept or told is searched. Mails are left out: they exist to carry a secret.

// canaries are secrets by what they are.
type canaries struct {
	mu      sync.Mutex
	secrets map[string][]string
}

// wantPlanted is what has to be found planted, or the test proves nothing.
var wantPlanted = []string{"password", "password hash", "refresh token", "reset token", "one-time password", "access token",
	"auth code", "signing key", "site secret", "cookie", "Config.Secret", "exchange", "auto-login token", "device token"}

// The secret of a webhook belongs here as well. This package never meets one:
// package webhook plants it in a test of its own.

func (c *canaries) plant(what string, secrets ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secrets == nil {
		c.secrets = map[string][]string{}
	}
	for _, s := range secrets {
		if s != "" && !slices.Contains(c.secrets[what], s) {
			c.secrets[what] = append(c.secrets[what], s)
		}
	}
}

// plantToken plants a token and, of a JWT, the signature alone: without it the
// rest is no secret, with it a part is enough.
func (c *canaries) plantToken(what, token string) {
	c.plant(what, token)
	if parts := strings.Split(token, "."); len(parts) == 3 {
		c.plant(what, parts[2])
	}
}

// plantGrant plants what a login hands out.
func (c *canaries) plantGrant(g *jwtauth.Grant) {
	if g != nil {
		c.plantToken("access token", g.AccessToken)
		c.plant("refresh token", g.RefreshToken)
		c.plant("device token", string(g.DeviceToken))
		c.plantHash(string(g.User.PasswordHash))
	}
}

// plantHash plants a PHC string and its last part, the hash proper.
func (c *canaries) plantHash(phc string) {
	c.plant("password hash", phc, phc[strings.LastIndex(phc, "$")+1:])
}

var planted = regexp.MustCompile(`"(token|refresh_token|device_token)":"([^"]+)"`)

// plantAnswer plants what an answer hands out, in its body and in cookies.
func (c *canaries) plantAnswer(r answer) {
	names := map[string]string{"token": "access token", "refresh_token": "refresh token", "device_token": "device token"}
	for _, m := range planted.FindAllStringSubmatch(r.text, -1) {
		c.plantToken(names[m[1]], m[2])
	}
	for _, line := range r.header["Set-Cookie"] {
		if cookie, err := http.ParseSetCookie(line); err == nil {
			c.plantToken("cookie", cookie.Value)
		}
	}
}

// spellings are the ways in which Go programs happen to write a secret.
func spellings(s string) []string {
	quoted, _ := json.Marshal(s)
	all := []string{s, string(bytes.Trim(quoted, `"`)), url.QueryEscape(s), hex.EncodeToString([]byte(s)), fmt.Sprintf("%X", s),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="), base64.RawURLEncoding.EncodeToString([]byte(s)),
		strings.Trim(fmt.Sprint([]byte(s)), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(s)), "[]byte{"), "}")}
	slices.Sort(all)
	return slices.Compact(all)
}

// found names the secrets that text contains.
func (c *canaries) found(text string) (names []string) {
	for what, secrets := range c.secrets {
		if slices.ContainsFunc(secrets, func(s string) bool { return holds(text, s) }) {
			names = append(names, what)
		}
	}
	slices.Sort(names)
	return names
}

// holds looks for six digits as a word: they are part of some longer number in
// any text that is long enough.
func holds(text, secret string) bool {
	if len(secret) <= 6 {
		return regexp.MustCompile(`\b` + secret + `\b`).MatchString(text)
	}
	return slices.ContainsFunc(spellings(secret), func(s string) bool { return strings.Contains(text, s) })
}

// random are the parts of a line that differ each time: the ids of requests and
// events, and the clock.
var random = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d\d:\d\d:\d\d\.\d+`)

// distinct leaves out lines that say what another has said.
func distinct(text string) string {
	seen := map[string]bool{}
	var out strings.Builder
	for line := range strings.Lines(random.ReplaceAllString(text, "…")) {
		if !seen[line] {
			seen[line] = true
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestTheSearchFindsWhatItIsFor(t *testing.T) {
	const secret = `a "secret" / of 24 bytes`
	var c canaries
	c.plant("secret", secret)
	c.plant("digits", "123456")
	type holder struct{ B []byte }
	for _, text := range []string{secret, fmt.Sprintf("%q", secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		fmt.Sprintf("%v", []byte(secret)), fmt.Sprintf("%#v", holder{[]byte(secret)}), fmt.Sprintf("%+v", holder{[]byte(secret)}),
		base64.StdEncoding.EncodeToString([]byte(secret)), "x=" + url.QueryEscape(secret) + "&y"} {
		if got := c.found("before " + text + " after"); !slices.Equal(got, []string{"secret"}) {
			t.Errorf("found %q in %q", got, text)
		}
	}
	if got := c.found("code 123456 and 91234567"); !slices.Equal(got, []string{"digits"}) {
		t.Errorf("found %q", got)
	}
	if got := c.found("nothing: 1234567, secret"); got != nil {
		t.Errorf("found %q in a harmless text", got)
	}
}

// canarySite is an Auth with everything switched on, and all that it tells.
type canarySite struct {
	t        *testing.T
	canaries *canaries
	auth     *jwtauth.Auth
	store    *canaryStore
	remote   remote
	box      *postbox
	metrics  tracingSink
	routes   map[string]jwtauth.Route
	handler  http.Handler
	// answered has the statuses of each route, called the methods that were.
	answered map[string][]int
	called   map[string]bool

	mu   sync.Mutex
	log  bytes.Buffer
	told map[string]*strings.Builder // everything else, by where
}

// Write is where the log goes.
func (s *canarySite) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *canarySite) tell(where, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[where] == nil {
		s.told[where] = new(strings.Builder)
	}
	s.told[where].WriteString(text + "\n")
}

// tellError writes an error as programs do.
func (s *canarySite) tellError(err error) {
	if err != nil {
		data, _ := json.Marshal(err)
		s.tell("error", fmt.Sprintf("%v %+v %#v %s %s", err, err, err, err, data))
		slog.New(s.logHandler()).Error("told", "error", err)
	}
}

// canaryStore can fail in one verb, or panic.
type canaryStore struct {
	brokenStore
	panics bool
}

func (s *canaryStore) UserByLogin(ctx context.Context, key string) (jwtauth.User, error) {
	if s.panics {
		panic("the store gave up")
	}
	return s.brokenStore.UserByLogin(ctx, key)
}

// failingBox keeps mails, and then says that it could not send them.
type failingBox struct{ *postbox }

func (b failingBox) Send(ctx context.Context, m jwtauth.Message) error {
	return errors.Join(b.postbox.Send(ctx, m), errors.New("the relay is down"))
}

const (
	canaryPassword = "canary-password-Vq7m2 of alice"
	canarySecond   = "canary-password-Zt4k9 of alice"
	canaryWrong    = "canary-password-Hx3d1 mistyped"
)

func newCanarySite(t *testing.T, planted *canaries) *canarySite {
	s := &canarySite{t: t, canaries: planted, store: &canaryStore{brokenStore: brokenStore{MemoryStore: jwtauth.NewMemoryStore()}},
		box: &postbox{}, routes: map[string]jwtauth.Route{}, told: map[string]*strings.Builder{},
		answered: map[string][]int{}, called: map[string]bool{}}
	s.remote = newRemote(t)
	cfg := testConfig(t)
	secret := func(what, text string) []byte {
		planted.plant(what, text)
		return []byte(text)
	}
	planted.plant("password", canaryPassword, canarySecond, canaryWrong)
	cfg.Secret = secret("Config.Secret", "canary-config-7f3ac09d51e2b846a1c5")
	cfg.OldSecrets = [][]byte{secret("Config.Secret", "canary-before-1c9e27d40b6fa853e7d2")}
	cfg.Keys = must(jwtauth.NewKeySet(must(jwtauth.HS256("k1", secret("signing key", "canary-signing-e2d94b7106cf5a38b0d7")))(t)))(t)
	cfg.SSO = ssoConfig(t)
	cfg.SSO.Sites[0].Secret = secret("site secret", "canary-site-5b08e6f2d91a4c73e0b9d4")
	cfg.SSO.Sites[0].OldSecret = secret("site secret", "canary-site-old-93ad17c5e86f204bd1")
	cfg.Access.Codes = []jwtauth.AuthCode{{Code: jwtauth.Secret(secret("auth code", "canary-code-d60f4e8a29b7c513"))}}
	cfg.Access.Endpoints = map[string]jwtauth.AccessRule{"register": {Code: true}}
	cfg.Passwords.DearestHash = ""
	cfg.Store, cfg.Logger, cfg.Metrics = s.store, slog.New(s.logHandler()), &s.metrics
	cfg.Recovery.URL, cfg.Verification.URL = resetPage, "https://app.example.test/verify"
	cfg.Mail.Mailer, cfg.Mail.Attempts = failingBox{s.box}, 1
	cfg.Sessions.Grace, cfg.Audit.Refusals = -1, 1_000_000
	many := []jwtauth.LockoutTier{{Failures: 1 << 30, Per: time.Minute}} // a test of its own has few
	cfg.Lockout = jwtauth.LockoutConfig{Account: many, Device: many, Source: many}
	targets(&cfg)
	cfg.Hooks.OnEvent = func(_ context.Context, e jwtauth.Event) { s.tell("event", fmt.Sprintf("%+v", e)) }
	s.auth = must(jwtauth.New(cfg))(t)
	s.handler = s.auth.Handler()
	for _, r := range s.auth.Routes() {
		s.routes[r.Name] = r
	}
	return s
}

// logHandler writes at every level, as text and as JSON.
func (s *canarySite) logHandler() slog.Handler {
	all := &slog.HandlerOptions{Level: slog.Level(-100)}
	return slog.NewMultiHandler(slog.NewTextHandler(s, all), slog.NewJSONHandler(s, all))
}

// http sends a request to a route; "" adds nothing to its path.
func (s *canarySite) http(route, more string, body any, token string, header http.Header) answer {
	s.t.Helper()
	r, ok := s.routes[route]
	if !ok {
		s.t.Fatalf("there is no route %q", route)
	}
	path, _, _ := strings.Cut(r.Path, "{id}")
	got := send(s.t, s.handler, request{method: r.Method, path: path + more, body: body, token: token, header: header})
	s.answered[route] = append(s.answered[route], got.status)
	s.canaries.plantAnswer(got)
	if got.status >= 400 {
		s.tell("answer", got.text)
		delete(got.header, "Set-Cookie")
		s.tell("answer", fmt.Sprint(got.header))
	}
	return got
}

// mailed returns the data of the latest mail of a kind, and plants its secrets.
func (s *canarySite) mailed(kind string) jwtauth.MailData {
	_ = s.auth.Close(bg) // its error says that mails were not sent
	var data jwtauth.MailData
	for _, m := range s.box.Messages() {
		if m.Kind == kind {
			data = m.Data
		}
		if m.Data.Code != "" {
			s.canaries.plant("one-time password", m.Data.Code)
		}
		if m.Data.Link != "" {
			s.canaries.plant("reset token", linkToken(m.Data.Link))
		}
	}
	return data
}

func linkToken(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get("token")
}

// flow uses every route as it is meant to be used, and wrongly. Nothing in it
// depends on success: stores fail meanwhile.
func (s *canarySite) flow() {
	email := "alice@example.test"
	account := object{"username": "alice", "email": email, "password": canaryPassword}
	s.http("register", "", account, "", nil)
	account["AUTH_CODE"] = "canary-code-d60f4e8a29b7c513"
	s.http("register", "", account, "", nil)
	s.http("register", "", account, "", nil)
	u, _ := s.store.MemoryStore.UserByLogin(bg, "alice")
	s.canaries.plantHash("$" + string(u.PasswordHash))
	_ = s.auth.SetRoles(bg, u.ID, "administrator")
	for _, password := range []string{canaryWrong, canaryPassword} {
		s.http("login", "", object{"username": "alice", "password": password}, "", nil)
		s.http("token", "", object{"email": email, "password": password}, "", nil)
		s.http("token", "", object{"username": "nobody", "password": password}, "", nil)
	}
	in := s.http("login", "", object{"username": "alice", "password": canaryPassword}, "", nil)
	token := in.str("token")
	for _, route := range []string{"validate", "me", "sessions", "activity", "audit", "jwks", "openapi"} {
		s.http(route, "", nil, token, nil)
		s.http(route, "", nil, strings.TrimSuffix(token, "A")+"x", nil)
	}
	next := s.http("refresh", "", object{"refresh_token": in.str("refresh_token")}, "", nil)
	s.http("refresh", "", object{"refresh_token": in.str("refresh_token")}, "", nil) // reuse
	s.http("refresh", "", object{"refresh_token": next.str("refresh_token")}, "", nil)
	s.recoverAccount(email)
	in = s.http("login", "", object{"username": "alice", "password": canaryPassword}, "", nil)
	token = in.str("token")
	other := s.http("token", "", object{"username": "alice", "password": canaryPassword}, "", nil)
	if id, err := s.auth.Verify(bg, other.str("token")); err == nil {
		s.http("end-session", id.SessionID, nil, token, nil)
	}
	s.http("end-session", in.str("refresh_token"), nil, token, nil)
	s.http("end-other-sessions", "", nil, token, nil)
	s.comeFromElsewhere(u.ID)
	s.http("change-password", "", object{"current_password": canaryWrong, "new_password": canarySecond}, token, nil)
	s.http("change-password", "", object{"current_password": canaryPassword, "new_password": canarySecond}, token, nil)
	in = s.http("login", "", object{"username": "alice", "password": canarySecond}, "", nil)
	s.http("revoke", "", object{"token": in.str("token")}, "", nil)
	s.http("revoke-alias", "", object{"token": in.str("token")}, "", nil)
	s.http("revoke", "", object{"refresh_token": in.str("refresh_token")}, "", nil)
	in = s.http("login", "", object{"username": "alice", "password": canarySecond}, "", nil)
	s.http("delete-me", "", object{"password": canaryWrong}, in.str("token"), nil)
	s.http("delete-me", "", object{"password": canarySecond}, in.str("token"), nil)
}

// recoverAccount resets the password by link and by code, and confirms the address.
func (s *canarySite) recoverAccount(email string) {
	s.http("forgot-password", "", object{"login": email, "delivery": "link"}, "", nil)
	link := s.mailed(jwtauth.MailResetLink)
	s.http("forgot-password", "", object{"login": "nobody"}, "", nil)
	s.http("reset-password", "", object{"login": email, "token": "x" + linkToken(link.Link), "password": canarySecond}, "", nil)
	s.http("reset-password", "", object{"login": email, "token": linkToken(link.Link), "password": "short"}, "", nil)
	s.http("reset-password", "", object{"login": email, "token": linkToken(link.Link), "password": canarySecond}, "", nil)
	s.http("forgot-password", "", object{"login": email, "delivery": "otp"}, "", nil)
	code := s.mailed(jwtauth.MailResetCode)
	s.http("reset-password", "", object{"login": email, "code": "000000", "password": canaryPassword}, "", nil)
	s.http("reset-password", "", object{"login": email, "code": code.Code, "password": canaryPassword}, "", nil)
	u, err := s.store.MemoryStore.UserByLogin(bg, email)
	if err == nil { // a reset has confirmed the address already
		u.EmailVerified = false
		_, _ = s.store.UpdateUser(bg, u)
	}
	s.http("resend-verification", "", object{"login": email}, "", nil)
	verify := s.mailed(jwtauth.MailVerify)
	s.http("verify-email", "", object{"login": email, "token": "x" + linkToken(verify.Link)}, "", nil)
	s.http("verify-email", "", object{"login": email, "token": linkToken(verify.Link)}, "", nil)
}

// comeFromElsewhere logs in from a connected site and by a link.
func (s *canarySite) comeFromElsewhere(userID string) {
	x := exchangeFor(s.t, s.remote, "alice")
	x.Signature = jwtauth.SignExchange(x.SiteKey, []byte("canary-site-5b08e6f2d91a4c73e0b9d4"), x.Token)
	s.canaries.plant("exchange", x.Signature)
	s.canaries.plantToken("exchange", x.Token)
	body := object{"site_key": x.SiteKey, "token": x.Token, "signature": x.Signature}
	s.http("sso-exchange", "", body, "", nil)
	s.http("sso-exchange", "", body, "", nil) // a second time
	link, _ := s.auth.AutoLoginToken(bg, userID)
	s.canaries.plantToken("auto-login token", link)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for range 2 {
		s.http("autologin", "?JWT="+link, nil, "", nil)
		s.http("autologin-confirm", "", url.Values{"JWT": {link}}.Encode(), "", form)
	}
}

// misplace puts every secret where it does not belong, in requests to all routes.
func (s *canarySite) misplace() {
	members := []string{"login", "username", "email", "user_login", "password", "current_password", "new_password", "token",
		"refresh_token", "code", "otp", "site_key", "signature", "AUTH_CODE", "name", "delivery", "JWT", "redirectUrl", "first_name"}
	for _, secrets := range s.canaries.copy() {
		for route := range s.routes {
			secret := secrets[0]
			every := object{}
			for _, m := range members {
				every[m] = secret
			}
			for _, body := range []any{every, object{"username": secret, "password": secret}, object{"email": secret + "@example.test"},
				object{"login": secret, "token": secret, "password": secret}, object{secret: secret}, object{"token": []string{secret}},
				`{"password":"` + secret, `{"token":"x"}` + secret, secret} {
				s.http(route, "", body, "", nil)
			}
			s.http(route, url.PathEscape(secret), nil, secret, nil)
			s.http(route, "?"+url.Values{"user": {secret}, "address": {secret}, "before": {secret}, "from": {secret}, "JWT": {secret}, "token": {secret}}.Encode(), nil, "", nil)
			for _, h := range []http.Header{{"Authorization": {"Basic " + secret}}, {"Authorization": {secret}}, {"Content-Type": {secret}},
				{"Cookie": {"__Host-jwtauth=" + secret + "; __Host-jwtauth-refresh=" + secret + "; __Host-jwtauth-device=" + secret}},
				{"X-Sso-Site-Key": {secret}, "X-Sso-Signature": {secret}, "Authorization": {"Bearer " + secret}}, {"Origin": {secret}}} {
				s.http(route, "", object{"login": "alice"}, "", h)
			}
		}
		s.callAll(secrets[0])
	}
}

func (c *canaries) copy() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][]string{}
	for what, secrets := range c.secrets {
		all[what] = slices.Clone(secrets)
	}
	return all
}

// hostWords are methods that take ids and patterns of the host, and record or
// repeat them as they are. What of that can come from a request is misplaced there.
var hostWords = []string{"DeleteUser", "DeleteOwnAccount", "RevokeUser", "EndOtherSessions", "Unlock", "Protect", "RateLimit", "NewGate", "AdoptTrail"}

// callAll calls every method of Auth that takes words, with a secret for each of
// them. What they return is told, but for what is meant to be secret.
func (s *canarySite) callAll(secret string) {
	v := reflect.ValueOf(s.auth)
	for i := range v.NumMethod() {
		name, m := v.Type().Method(i).Name, v.Method(i)
		if slices.Contains(hostWords, name) {
			continue
		}
		args := make([]reflect.Value, 0, m.Type().NumIn())
		for j := range m.Type().NumIn() {
			args = append(args, s.argument(m.Type().In(j), secret))
		}
		results := func() []reflect.Value {
			defer func() {
				if p := recover(); p != nil {
					s.tell("panic", fmt.Sprint(p)) // misuse by the programmer may panic, but not tell
				}
			}()
			if m.Type().IsVariadic() {
				return m.CallSlice(args)
			}
			return m.Call(args)
		}()
		s.called[name] = true
		for _, r := range results {
			if err, ok := r.Interface().(error); ok {
				s.tellError(err)
			}
			if g, ok := r.Interface().(*jwtauth.Grant); ok {
				s.canaries.plantGrant(g)
			}
		}
	}
}

// argument makes a value of a type in which every word is the secret.
func (s *canarySite) argument(t reflect.Type, secret string) reflect.Value {
	if t == reflect.TypeFor[context.Context]() {
		return reflect.ValueOf(bg)
	}
	if t == reflect.TypeFor[http.Handler]() {
		return reflect.ValueOf(http.NotFoundHandler())
	}
	v := reflect.New(t).Elem()
	fillWords(v, secret)
	return v
}

// fillWords sets every string of a value.
func fillWords(v reflect.Value, word string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(word)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillWords(v.Field(i), word)
			}
		}
	case reflect.Slice:
		if v.Type() != reflect.TypeFor[[]jwtauth.AuditMark]() {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fillWords(v.Index(0), word)
		}
	case reflect.Int:
		v.SetInt(1)
	}
}

// collectEvents tells the audit trail, as the service reads it and as the store
// keeps it. It is the only place that knows where events are.
func (s *canarySite) collectEvents() int {
	n, before := 0, ""
	for {
		page, err := s.auth.Events(bg, jwtauth.EventFilter{Limit: 1000, Before: before})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range page {
			data, _ := json.Marshal(e)
			s.tell("event", fmt.Sprintf("%+v %s", e, data))
			before = e.ID
		}
		n += len(page)
		if len(page) < 1000 {
			break
		}
	}
	records, err := s.store.Query(bg, jwtauth.AuditQuery{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range records {
		s.tell("record", fmt.Sprintf("%s %s %s %s %s", r.Name, r.Reason, r.Subject, r.AddressKey, r.Personal))
	}
	return n
}

func TestTwelvePlantedSecretsAppearNowhere(t *testing.T) {
	planted := &canaries{}
	s := newCanarySite(t, planted)
	s.flow()
	for name := range s.routes {
		if statuses := s.answered[name]; statuses == nil || slices.Min(statuses) >= 400 {
			t.Errorf("route %s never succeeded: %v", name, statuses)
		}
	}
	for _, verb := range []string{"CreateUser", "UserByID", "UserByLogin", "UpdateUser", "DeleteUser", "CreateSession", "Session", "AdvanceSession",
		"EndSession", "EndSessions", "Sessions", "Revoke", "Revoked", "Reset", "EraseAuditKey", "Append"} {
		s.store.verb = verb
		s.flow()
	}
	s.store.verb, s.store.panics = "", true
	s.flow()
	s.store.panics = false
	s.flow()
	for _, what := range wantPlanted {
		if len(planted.secrets[what]) == 0 {
			t.Errorf("no %s was planted", what)
		}
	}
	s.misplace()
	for name, statuses := range s.answered {
		if slices.Max(statuses) < 400 && name != "jwks" && name != "openapi" {
			t.Errorf("route %s never refused", name)
		}
	}
	for i := range reflect.TypeFor[*jwtauth.Auth]().NumMethod() {
		if name := reflect.TypeFor[*jwtauth.Auth]().Method(i).Name; !s.called[name] && !slices.Contains(hostWords, name) {
			t.Errorf("method %s was not called", name)
		}
	}
	_ = s.auth.Close(bg)
	if n := s.collectEvents(); n < 100 {
		t.Errorf("only %d events", n)
	}
	s.tell("metric", strings.Join(append(s.metrics.lines, s.metrics.spans...), "\n"))
	s.tell("log", s.log.String())
	for where, told := range s.told {
		text := told.String()
		if len(text) < 500 {
			t.Errorf("%s: only %q was told", where, text)
		}
		if text = distinct(text); planted.found(text) == nil {
			continue
		}
		for line := range strings.Lines(text) {
			if names := planted.found(line); names != nil {
				t.Errorf("%s has %q: %.600s", where, names, line)
			}
		}
	}
}

// The limits and locks have words of their own, which the passes above never hear.
func TestLimitsAndLocksTellNoSecret(t *testing.T) {
	planted := &canaries{}
	planted.plant("password", canaryPassword)
	var log bytes.Buffer
	metrics := &tracingSink{}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{Login: jwtauth.Rule{Limit: 3, Per: time.Minute}}
		cfg.Lockout.Account = []jwtauth.LockoutTier{{Failures: 1, Per: time.Minute}}
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Metrics = metrics
	})
	register(t, a, "alice")
	h := a.Handler()
	text := ""
	for range 5 {
		text += post(t, h, "/token", object{"username": "alice", "password": canaryPassword}).text
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	text += log.String() + strings.Join(metrics.lines, "\n")
	for _, word := range []string{"locked", "jwt_auth_rate_limited", "jwtauth.lockout.hits"} {
		if !strings.Contains(text, word) {
			t.Errorf("%q was not reached", word)
		}
	}
	if names := planted.found(text); names != nil {
		t.Errorf("%q is told: %s", names, text)
	}
}
