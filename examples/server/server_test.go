package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// The requests of the HeadlessKey documents, and the answers that they show. An
// answer must have every member of the document, with a value of its type.
func TestDocumentedRequestsGetAnswersOfTheDocumentedShape(t *testing.T) {
	s := start(t, quick, environment())
	var token string
	for _, c := range []struct {
		name, path, body string
		header           bool
		want             string
	}{
		{"5. register user", "/register", registerJohn, false,
			`{"user_id":45,"user":{"ID":45,"user_login":"johndoe","user_email":"john@example.com","display_name":"John Doe","roles":["subscriber"]},
			  "token_response":{"token":"eyJ","expiration":"2023-10-27T10:00:00+00:00"}}`},
		{"1. generate token", "/token", loginJohn, false,
			`{"token":"eyJ","expiration":"2023-10-27T10:00:00+00:00","expires_in":3600,"refreshable":true,"jti":"uuid",
			  "user":{"ID":1,"user_login":"johndoe","user_email":"john@example.com","display_name":"John Doe","roles":["subscriber"]}}`},
		{"6. user profile (login extended)", "/login", loginJohn, false,
			`{"token":"eyJ","expiration":"2023-10-27T10:00:00+00:00",
			  "user":{"ID":1,"user_login":"johndoe","user_email":"john@example.com","display_name":"John Doe","roles":["subscriber"]}}`},
		{"2. validate token", "/token/validate", `{"token":"TOKEN"}`, false,
			`{"valid":true,"data":{"iss":"http","iat":1698393600,"exp":1698397200,"data":{"ID":1,"user_login":"johndoe"}}}`},
		{"2. validate token, in the header", "/token/validate", "", true,
			`{"valid":true,"data":{"iss":"http","iat":1698393600,"exp":1698397200,"data":{"ID":1,"user_login":"johndoe"}}}`},
		{"3. refresh token", "/token/refresh", `{"token":"TOKEN"}`, false,
			`{"token":"eyJ","expiration":"2023-10-27T11:00:00+00:00","user":{"ID":1,"user_login":"johndoe"},"jti":"new-uuid"}`},
		{"3. refresh token, in the header", "/token/refresh", "", true,
			`{"token":"eyJ","expiration":"2023-10-27T11:00:00+00:00","user":{"ID":1,"user_login":"johndoe"},"jti":"new-uuid"}`},
		{"9. change password", "/change-password", `{"current_password":"secure-password","new_password":"new-secure-password"}`, true,
			`{"message":"Password changed successfully. Please login again."}`},
		{"log in again", "/token", `{"username":"john@example.com","password":"new-secure-password"}`, false, `{"token":"eyJ"}`},
		{"4. revoke token (logout)", "/token/revoke", `{"token":"TOKEN"}`, false, `{"message":"Token revoked successfully."}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bearer := ""
			if c.header {
				bearer = token
			}
			r := want(t, send(t, "POST", s.api+c.path, strings.ReplaceAll(c.body, "TOKEN", token), bearer), 200, "")
			var doc any
			if err := json.Unmarshal([]byte(c.want), &doc); err != nil {
				t.Fatal(err)
			}
			covers(t, "", doc, r.body)
			if next := r.str("token"); next != "" {
				token = next
			}
		})
	}
	want(t, send(t, "POST", s.api+"/token/validate", "", token), 401, "jwt_auth_invalid_token")
}

// covers checks that got has all that doc has: members, types, and the texts
// that do not differ from one request to the next.
func covers(t *testing.T, path string, doc, got any) {
	t.Helper()
	switch doc := doc.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %T, want an object", path, got)
		}
		for name, v := range doc {
			covers(t, path+"."+name, v, object[name])
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(doc) {
			t.Errorf("%s is %v, want %v", path, got, doc)
			return
		}
		for i := range doc {
			covers(t, fmt.Sprintf("%s[%d]", path, i), doc[i], list[i])
		}
	case string:
		coversText(t, path, doc, got)
	default:
		if fmt.Sprintf("%T", doc) != fmt.Sprintf("%T", got) {
			t.Errorf("%s is %T, want %T", path, got, doc)
		}
	}
}

// patterns stand for the texts that differ.
var patterns = map[string]string{
	"token":      `^eyJ[\w-]+\.[\w-]+\.[\w-]+$`,
	"expiration": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$`,
	"jti":        `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
	"iss":        `^http://127\.0\.0\.1:\d+$`,
}

func coversText(t *testing.T, path, doc string, got any) {
	t.Helper()
	text, ok := got.(string)
	pattern, varies := patterns[path[strings.LastIndexByte(path, '.')+1:]]
	if !varies {
		pattern = "^" + regexp.QuoteMeta(doc) + "$"
	}
	if !ok || !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%s is %v, want %s", path, got, pattern)
	}
}

func TestHostRoutes(t *testing.T) {
	s := start(t, quick, environment())
	token := s.john(t)
	want(t, send(t, "GET", s.base+"/healthz", "", ""), 200, "")
	want(t, send(t, "GET", s.base+"/hello", "", ""), 401, "missing_token")
	if r := want(t, send(t, "GET", s.base+"/hello", "", token), 200, ""); r.str("hello") != "1" {
		t.Errorf("hello answered %s", r.text)
	}
	want(t, send(t, "GET", s.base+"/admin", "", token), 403, "rest_forbidden")
	want(t, send(t, "GET", s.api+"/nowhere", "", ""), 404, "rest_no_route")
	want(t, send(t, "GET", s.api+"/token", "", ""), 405, "method_not_allowed")
}

// The printed lines are run as a shell would run them.
func TestPrintedCurlLinesWork(t *testing.T) {
	// Without a grace window a token dies with its refresh: the order counts.
	for _, config := range []string{quick, with(t, `{"sessions":{"grace_seconds":0}}`), with(t, `{"namespace":"/my-auth/v2/"}`)} {
		s := start(t, config, environment())
		text := strings.ReplaceAll(s.out.String(), "\\\n", "")
		lines := regexp.MustCompile(`(?m)^  (?:TOKEN=\$\()?(curl .*?)(?: \| sed '(.*)'\))?$`).FindAllStringSubmatch(text, -1)
		if len(lines) != 7 {
			t.Fatalf("%d lines with curl, want 7:\n%s", len(lines), text)
		}
		token := ""
		for _, line := range lines {
			method, url, body, header := parseCurl(t, line[1], token)
			r := do(t, method, url, body, header)
			if r.status != 200 {
				t.Errorf("%s\nanswered %d %s", line[1], r.status, r.text)
			}
			if line[2] != "" {
				token = sed(t, line[2], r.text)
			}
		}
		if token == "" {
			t.Error("no line took the token")
		}
	}
}

// words splits a command like a shell: single quotes are literal, in double
// quotes $TOKEN is replaced.
var words = regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)

func parseCurl(t *testing.T, line, token string) (method, url, body string, header http.Header) {
	t.Helper()
	header = http.Header{}
	var args []string
	for _, m := range words.FindAllStringSubmatch(line, -1) {
		args = append(args, m[1]+strings.ReplaceAll(m[2], "$TOKEN", token)+m[3])
	}
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "-s":
		case "-X":
			i++
			method = args[i]
		case "-d":
			i++
			body = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		default:
			if url != "" || !strings.HasPrefix(args[i], "http://") {
				t.Fatalf("unexpected word %q in: %s", args[i], line)
			}
			url = args[i]
		}
	}
	if method == "" && body != "" {
		method = "POST"
	}
	return method, url, body, header
}

// sed runs the one command of sed that is printed.
func sed(t *testing.T, script, text string) string {
	t.Helper()
	parts := strings.Split(script, "/")
	if len(parts) != 4 || parts[0] != "s" || parts[2] != `\1` {
		t.Fatalf("unexpected sed script %q", script)
	}
	basic := strings.NewReplacer(`\(`, `(`, `\)`, `)`).Replace(parts[1])
	return regexp.MustCompile(basic).ReplaceAllString(strings.TrimSpace(text), "$1")
}

func TestAdminIsCreatedOnceWithAPasswordThatWorks(t *testing.T) {
	s := start(t, with(t, `{"registration":{"closed":true}}`), environment(), "-admin", "root@example.com")
	m := regexp.MustCompile(`administrator: (\S+), password ([A-Z2-7]{26}) `).FindStringSubmatch(s.out.String())
	if m == nil {
		t.Fatalf("no password in:\n%s", s.out)
	}
	r := want(t, send(t, "POST", s.api+"/token", fmt.Sprintf(`{"username":%q,"password":%q}`, m[1], m[2]), ""), 200, "")
	want(t, send(t, "GET", s.base+"/admin", "", r.str("token")), 200, "")

	a := testApp(t, quick, options{admin: "root@example.com"})
	before := userOf(t, a, "root@example.com")
	a.notes = nil
	if err := a.createAdmin(t.Context(), "ROOT@EXAMPLE.com"); err != nil {
		t.Fatal(err)
	}
	if after := userOf(t, a, "root@example.com"); after.Version != before.Version || after.PasswordHash != before.PasswordHash {
		t.Error("the second -admin changed the account")
	}
	if text := strings.Join(a.notes, "\n"); !strings.Contains(text, "exists; nothing was changed") {
		t.Errorf("the second -admin said: %s", text)
	}
}

func userOf(t *testing.T, a *app, login string) jwtauth.User {
	t.Helper()
	u, err := a.auth.UserByLogin(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestKeysSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const issuer = "https://auth.example.test"
	first := start(t, quick, environment(), "-keys", dir, "-issuer", issuer)
	r := want(t, send(t, "POST", first.api+"/register", registerJohn, ""), 200, "")
	token := r.str("token_response.token")
	first.stop()
	if err := first.wait(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.out.String(), "new and in memory") {
		t.Errorf("with -keys nothing is only in memory:\n%s", first.out)
	}
	second := start(t, quick, environment(), "-keys", dir, "-issuer", issuer)
	want(t, send(t, "GET", second.base+"/hello", "", token), 200, "")
	other := start(t, quick, environment(), "-keys", filepath.Join(t.TempDir(), "keys"), "-issuer", issuer)
	want(t, send(t, "GET", other.base+"/hello", "", token), 401, "jwt_auth_invalid_token")
}

func TestShutdownFinishesTheRequestInFlight(t *testing.T) {
	s := start(t, quick, environment())
	s.john(t)
	address := strings.TrimPrefix(s.base, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "POST /wp-json/headlesskey/v1/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", address, len(loginJohn))
	in := bufio.NewReader(conn)
	if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != http.StatusContinue {
		t.Fatalf("%v %v, want 100: the handler reads the body", r, err)
	}
	s.stop()
	for { // until nobody listens any more
		probe, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		probe.Close()
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("run returned %v with a request in flight", err)
	default:
	}
	fmt.Fprint(conn, loginJohn)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%v %v, want 200 after the shutdown began", r, err)
	}
	r.Body.Close()
	if err := s.wait(); err != nil {
		t.Errorf("run returned %v", err)
	}
}

func TestRefusedToStart(t *testing.T) {
	public := pemOf(t, newECKey(t), true)
	for _, c := range []struct {
		name, config, secret string
		args                 []string
		want                 string
	}{
		{"unknown key", `{"grace_seconds":5}`, "", nil, `unknown field "grace_seconds"`},
		{"unknown key inside", `{"sessions":{"grace":5}}`, "", nil, `unknown field "grace"`},
		{"not JSON", `issuer: x`, "", nil, "invalid character"},
		{"two values", `{} {}`, "", nil, "more than one JSON value"},
		{"wrong type", `{"limits":{"disabled":"yes"}}`, "", nil, "limits.disabled"},
		{"key file beside an algorithm", `{"algorithm":"ES256","private_key_file":"a.pem"}`, "", nil, "exclude each other"},
		{"key file that is missing", `{"private_key_file":"a.pem"}`, "", nil, "no such file"},
		{"key file with a public key", `{"private_key_file":"` + write(t, public) + `"}`, "", nil, "no private half"},
		{"key file with something else", `{"private_key_file":"` + write(t, "hello") + `"}`, "", nil, "neither an ES256 key"},
		{"algorithm none", `{"algorithm":"none"}`, "", nil, "algorithm must be"},
		{"namespace with a wildcard", `{"namespace":"a/{b}"}`, "", nil, "namespace must be"},
		{"namespace that climbs", `{"namespace":"a/../b"}`, "", nil, "namespace must be"},
		{"grace below zero", `{"sessions":{"grace_seconds":-1}}`, "", nil, "between 0 and 600"},
		{"limit without a time", `{"limits":{"login":{"limit":5}}}`, "", nil, "Limits.Login"},
		{"hash below the floor", `{"hash":{"memory_kib":64,"time":1}}`, "", nil, "below OWASP's floor"},
		{"issuer without TLS", `{"issuer":"http://auth.example.test"}`, "", nil, "must use https"},
		{"secret in the file too short", `{"secret":"c2hvcnQtc2VjcmV0"}`, "", nil, "Config.Secret"},
		{"JWTAUTH_SECRET not base64", `{}`, "not!base64", nil, "JWTAUTH_SECRET is not base64"},
		{"JWTAUTH_SECRET too short", `{}`, "c2hvcnQtc2VjcmV0", nil, "Config.Secret"},
		{"unknown store", `{}`, "", []string{"-db", "redis"}, "-db must be"},
		{"SQLite without a file", `{}`, "", []string{"-db", "sqlite:"}, "-db must be"},
		{"SQLite file in a folder that is not there", `{}`, "", []string{"-db", "sqlite:/nowhere/auth.db"}, "no such file"},
		{"PostgreSQL that is not there", `{}`, "", []string{"-db", "postgres://127.0.0.1:1/x"}, "-db: "},
		{"MySQL that is not there", `{}`, "", []string{"-db", "mysql://127.0.0.1:1/x"}, "-db: "},
		{"unknown flag", `{}`, "", []string{"-nope"}, "flag provided but not defined"},
		{"stray argument", `{}`, "", []string{"start"}, "unexpected argument"},
		{"administrator without an address", `{}`, "", []string{"-admin", "root"}, "-admin"},
		{"address in use by nobody", `{}`, "", []string{"-addr", "256.0.0.1:1"}, "listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out := newOutput()
			args := append([]string{"-addr", "127.0.0.1:0", "-config", write(t, c.config)}, c.args...)
			err := run(ctx, args, environment("JWTAUTH_SECRET", c.secret), out)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("run returned %v, want %q", err, c.want)
			}
			for _, secret := range []string{"not!base64", "short-secret", "c2hvcnQtc2VjcmV0"} {
				if strings.Contains(err.Error()+out.String(), secret) {
					t.Errorf("the secret is printed: %v", err)
				}
			}
		})
	}
}

func TestGrace(t *testing.T) {
	again := func(config string) int {
		s := start(t, config, environment())
		s.john(t)
		refresh := want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 200, "").str("refresh_token")
		body := fmt.Sprintf(`{"refresh_token":%q}`, refresh)
		want(t, send(t, "POST", s.api+"/token/refresh", body, ""), 200, "")
		return send(t, "POST", s.api+"/token/refresh", body, "").status
	}
	if got := again(quick); got != 200 {
		t.Errorf("within the default grace the second refresh answered %d, want 200", got)
	}
	if got := again(with(t, `{"sessions":{"grace_seconds":0}}`)); got != 401 {
		t.Errorf("with grace_seconds 0 the second refresh answered %d, want 401", got)
	}
}

func TestLimits(t *testing.T) {
	wrong := `{"username":"johndoe","password":"wrong"}`
	fast := `"hash":{"memory_kib":64,"time":1,"insecure_for_tests":true}`
	s := start(t, `{`+fast+`,"limits":{"login":{"limit":2,"seconds":3600},"validate":{"limit":-1}}}`, environment())
	token := s.john(t)
	for range 2 {
		want(t, send(t, "POST", s.api+"/token", wrong, ""), 401, "invalid_credentials")
	}
	r := want(t, send(t, "POST", s.api+"/login", wrong, ""), 429, "jwt_auth_rate_limited")
	if r.header.Get("X-RateLimit-Limit") != "2" || r.header.Get("Retry-After") == "" {
		t.Errorf("headers of a 429: %v", r.header)
	}
	if r := want(t, send(t, "POST", s.api+"/token/validate", "", token), 200, ""); r.header.Get("X-RateLimit-Limit") != "" {
		t.Error("a negative limit must switch it off")
	}
	if r := want(t, send(t, "POST", s.api+"/token/refresh", "", token), 200, ""); r.header.Get("X-RateLimit-Limit") != "10" {
		t.Errorf("refresh has the limit %q, want its default", r.header.Get("X-RateLimit-Limit"))
	}

	s = start(t, quick, environment())
	for range 7 {
		if r := want(t, send(t, "POST", s.api+"/token", wrong, ""), 401, ""); r.header.Get("X-RateLimit-Limit") != "" {
			t.Error("limits that are disabled must not be announced")
		}
	}
}

func TestRegistrationSettings(t *testing.T) {
	s := start(t, with(t, `{"registration":{"closed":true}}`), environment())
	want(t, send(t, "POST", s.api+"/register", registerJohn, ""), 403, "registration_closed")
	if strings.Contains(s.out.String(), "curl") {
		t.Error("lines that can't work are printed")
	}
	s = start(t, with(t, `{"registration":{"private":true}}`), environment())
	first, second := send(t, "POST", s.api+"/register", registerJohn, ""), send(t, "POST", s.api+"/register", registerJohn, "")
	if first.status != 200 || first.text != second.text || first.at("token_response") != nil {
		t.Errorf("private registration tells the two apart: %s %s", first.text, second.text)
	}
	s = start(t, with(t, `{"registration":{"email_domains":["example.org"]},"roles":{"default":"member"}}`), environment())
	want(t, send(t, "POST", s.api+"/register", registerJohn, ""), 400, "rest_invalid_param")
	r := want(t, send(t, "POST", s.api+"/register", strings.Replace(registerJohn, ".com", ".org", 1), ""), 200, "")
	if got := fmt.Sprint(r.at("user.roles")); got != "[member]" {
		t.Errorf("roles = %s, want the default of the file", got)
	}
}

func TestDeviceLimit(t *testing.T) {
	s := start(t, with(t, `{"sessions":{"max_per_user":1}}`), environment())
	s.john(t)
	want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 403, "too_many_sessions")
	s = start(t, with(t, `{"sessions":{"max_per_user":1,"evict_oldest":true}}`), environment())
	old := s.john(t)
	want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 200, "")
	want(t, send(t, "GET", s.base+"/hello", "", old), 401, "jwt_auth_invalid_token")
}

func TestHashParameters(t *testing.T) {
	a := testApp(t, `{"hash":{"memory_kib":128,"time":3,"insecure_for_tests":true}}`, options{admin: "root@example.com"})
	if hash := string(userOf(t, a, "root@example.com").PasswordHash); !strings.Contains(hash, "$m=128,t=3,p=1$") {
		t.Errorf("hash %.40s…, want the parameters of the file", hash)
	}
}

func TestKeyFile(t *testing.T) {
	ec, other, rs := newECKey(t), newECKey(t), newRSAKey(t)
	kid := func(key any, alg string) string {
		// In the directory of the config file.
		config := write(t, with(t, `{"private_key_file":"key.pem"}`))
		if err := os.WriteFile(filepath.Join(filepath.Dir(config), "key.pem"), []byte(pemOf(t, key, false)), 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, quick, environment(), "-config", config)
		h := headerOf(t, s.john(t))
		if h.Alg != alg {
			t.Errorf("alg = %s, want %s", h.Alg, alg)
		}
		if r := send(t, "GET", s.api+"/.well-known/jwks.json", "", ""); !strings.Contains(r.text, `"kid":"`+h.Kid+`"`) {
			t.Errorf("the JWKS %s lacks %s", r.text, h.Kid)
		}
		return h.Kid
	}
	first := kid(ec, "ES256")
	if kid(ec, "ES256") != first {
		t.Error("the same key got another id")
	}
	if kid(other, "ES256") == first || kid(rs, "RS256") == first {
		t.Error("another key got the same id")
	}
}

// With a given secret HS256 needs nothing else to survive a restart, and the
// secret itself signs nothing.
func TestHS256DerivesFromTheSecret(t *testing.T) {
	secret := make([]byte, 32)
	rand.Read(secret)
	text := base64.StdEncoding.EncodeToString(secret)
	inFile := start(t, with(t, `{"algorithm":"HS256","secret":"`+text+`"}`), environment(), "-issuer", "https://auth.example.test")
	token := inFile.john(t)
	if h := headerOf(t, token); h.Alg != "HS256" {
		t.Errorf("alg = %s", h.Alg)
	}
	inEnv := start(t, with(t, `{"algorithm":"HS256"}`), environment("JWTAUTH_SECRET", text), "-issuer", "https://auth.example.test")
	want(t, send(t, "GET", inEnv.base+"/hello", "", token), 200, "")
	if r := send(t, "GET", inEnv.api+"/.well-known/jwks.json", "", ""); strings.TrimSpace(r.text) != `{"keys":[]}` {
		t.Errorf("the JWKS shows %s", r.text)
	}
	if strings.Contains(inFile.out.String()+inEnv.out.String(), text) {
		t.Error("the secret is printed")
	}
	rand.Read(secret)
	for name, getenv := range map[string]func(string) string{
		"none":    environment(),
		"another": environment("JWTAUTH_SECRET", base64.StdEncoding.EncodeToString(secret)),
	} {
		other := start(t, with(t, `{"algorithm":"HS256"}`), getenv, "-issuer", "https://auth.example.test")
		if r := send(t, "GET", other.base+"/hello", "", token); r.status != 401 {
			t.Errorf("with %s secret given, the token answered %d", name, r.status)
		}
	}
}

func TestIssuer(t *testing.T) {
	file := with(t, `{"issuer":"https://file.example.test"}`)
	for _, c := range []struct {
		name, config string
		args         []string
		want         string
	}{
		{"the flag wins over the file", file, []string{"-issuer", "https://flag.example.test"}, "https://flag.example.test"},
		{"the file wins over the address", file, nil, "https://file.example.test"},
		{"the address is the default", quick, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.config, environment(), c.args...)
			r := want(t, send(t, "POST", s.api+"/token/validate", "", s.john(t)), 200, "")
			if c.want == "" {
				c.want = s.base
			}
			if got := r.str("data.iss"); got != c.want {
				t.Errorf("iss = %s, want %s", got, c.want)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{"0.0.0.0:80": "localhost:80", "[::]:80": "localhost:80",
		"127.0.0.1:80": "127.0.0.1:80", "192.0.2.1:80": "192.0.2.1:80", "[::1]:80": "[::1]:80"} {
		addr, err := net.ResolveTCPAddr("tcp", in)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(addr); got != want {
			t.Errorf("reachable(%s) = %s, want %s", in, got, want)
		}
	}
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, key any, public bool) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	kind := "PRIVATE KEY"
	if ec, ok := key.(*ecdsa.PrivateKey); ok && public {
		der, err = x509.MarshalPKIXPublicKey(&ec.PublicKey)
		kind = "PUBLIC KEY"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestRefusalsAreExplainedWhereTheFileAsksForIt(t *testing.T) {
	for config, explained := range map[string]bool{
		`{"development":{"enabled":true,"insecure_explain":true}}`: true,
		`{"development":{"enabled":true}}`:                         false,
	} {
		s := start(t, with(t, config), environment())
		r := want(t, send(t, "POST", s.api+"/token", `{"username":"nobody","password":"wrong"}`, ""), 401, "invalid_credentials")
		if (r.header.Get(jwtauth.ReasonHeaderName) != "") != explained {
			t.Errorf("%s: %v", config, r.header)
		}
	}
}

// The operator sees what happened, each user their own, and rules from the file
// guard the server's own routes.
func TestAuditAndRulesFromTheFile(t *testing.T) {
	s := start(t, with(t, `{"protect":[{"pattern":"GET /hello","public":true},{"pattern":"/admin","roles":["editor"]}],
		"audit":{"roles":["auditor"],"skip_reads":true},"roles":{"default":"auditor"}}`), environment())
	want(t, send(t, "POST", s.api+"/register", registerJohn, ""), 200, "")
	want(t, send(t, "POST", s.api+"/token", `{"username":"johndoe","password":"wrong"}`, ""), 401, "invalid_credentials")
	token := want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 200, "").str("token")
	for path, event := range map[string]string{"/audit?event=register": "register", "/me/activity?result=refused": "login"} {
		r := want(t, send(t, "GET", s.api+path, "", token), 200, "")
		rows, _ := r.body["events"].([]any)
		if len(rows) != 1 || rows[0].(map[string]any)["event"] != event {
			t.Errorf("GET %s: %v", path, r.body)
		}
	}
	if r := want(t, send(t, "GET", s.base+"/hello", "", ""), 200, ""); r.str("hello") != "stranger" {
		t.Errorf("hello %q", r.str("hello"))
	}
	want(t, send(t, "GET", s.base+"/admin", "", token), 403, "rest_forbidden")
	want(t, send(t, "POST", s.base+"/autologin-token", "", ""), 401, "missing_token")
}
