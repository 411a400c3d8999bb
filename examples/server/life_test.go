package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// A person registers, confirms the address, forgets the password, reads the
// mails, and logs in again.
func TestAnAccountsLife(t *testing.T) {
	dir := t.TempDir()
	s := start(t, with(t, `{"verify_email":{"required":true,"url":"https://app.example.test/verify"},"recovery_url":"https://app.example.test/reset"}`),
		environment(), "-mail", dir)
	want(t, send(t, "POST", s.api+"/register", registerJohn, ""), 200, "")
	want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 403, "email_not_verified")
	link := waitForLink(t, dir, "verify")
	want(t, send(t, "POST", s.api+"/verify-email", fmt.Sprintf(`{"login":%q,"token":%q}`, link.Get("login"), link.Get("token")), ""), 200, "")
	token := want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 200, "").str("token")

	r := want(t, send(t, "POST", s.api+"/forgot-password", `{"login":"john@example.com","delivery":"link"}`, ""), 200, "")
	if r.str("message") != "Password reset email sent." {
		t.Errorf("forgot-password said %q", r.str("message"))
	}
	link = waitForLink(t, dir, "reset-link")
	r = want(t, send(t, "POST", s.api+"/reset-password",
		fmt.Sprintf(`{"login":%q,"password":"new-secure-password","token":%q}`, link.Get("login"), link.Get("token")), ""), 200, "")
	if r.str("message") != "Password updated successfully." {
		t.Errorf("reset-password said %q", r.str("message"))
	}
	want(t, send(t, "POST", s.api+"/token/validate", "", token), 401, "jwt_auth_invalid_token")
	want(t, send(t, "POST", s.api+"/token", loginJohn, ""), 401, "invalid_credentials")
	want(t, send(t, "POST", s.api+"/token", `{"username":"johndoe","password":"new-secure-password"}`, ""), 200, "")
	waitForMail(t, dir, "password-changed")
}

// waitForLink returns the parameters of the link in a mail.
func waitForLink(t *testing.T, dir, kind string) url.Values {
	t.Helper()
	text := waitForMail(t, dir, kind)
	u, err := url.Parse(regexp.MustCompile(`https://\S+`).FindString(text))
	if err != nil || u.Host != "app.example.test" {
		t.Fatalf("no link in %s: %v", text, err)
	}
	return u.Query()
}

// waitForMail returns the text of a mail that the server has written, as a mail
// program shows it. It polls, since nothing tells when a file appears.
func waitForMail(t *testing.T, dir, kind string) string {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for range 12_000 {
		names, err := filepath.Glob(filepath.Join(dir, "*-"+kind+"-*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 {
			return readMail(t, names[0])
		}
		<-poll.C
	}
	t.Fatalf("no mail %s", kind)
	return ""
}

func readMail(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || m.Header.Get("To") != "john@example.com" || m.Header.Get("Subject") == "" {
		t.Fatalf("headers %v: %v", m.Header, err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Somebody who is logged in at site A gets a session at site B.
func TestSSOFromSiteToSite(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	shared := make([]byte, 32)
	rand.Read(shared)
	a := start(t, with(t, fmt.Sprintf(`{"issuer":"https://a.example.test","private_key_file":%q}`, keyFile)), environment())
	b := start(t, with(t, fmt.Sprintf(`{"issuer":"https://b.example.test","sso":[{"key":"site-a","secret":%q,"issuer":"https://a.example.test","public_key_pem":%q,"create":true}]}`,
		base64.StdEncoding.EncodeToString(shared), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))), environment())

	token := want(t, send(t, "POST", a.api+"/register", registerJohn, ""), 200, "").str("token_response.token")
	ticket := want(t, send(t, "POST", a.base+"/sso-token?audience=https://b.example.test", "", token), 200, "").str("token")
	exchange := fmt.Sprintf(`{"site_key":"site-a","token":%q,"signature":%q}`, ticket, jwtauth.SignExchange("site-a", shared, ticket))
	r := want(t, send(t, "POST", b.api+"/sso/exchange", exchange, ""), 200, "")
	want(t, send(t, "GET", b.base+"/hello", "", r.str("token")), 200, "")
	want(t, send(t, "GET", a.base+"/hello", "", r.str("token")), 401, "")
	want(t, send(t, "POST", b.api+"/sso/exchange", exchange, ""), 401, "invalid_sso_exchange")
}

// A link signs a browser in, after a question, and leads to the allowed page.
func TestAutoLoginLandsOnTheAllowedPage(t *testing.T) {
	a := testApp(t, with(t, `{"issuer":"https://auth.example.test","cookies":true,"redirects":["https://app.example.test"],
		"autologin":{"target":"https://app.example.test/welcome?u={{user_login}}","target_from_request":true}}`), options{})
	server := httptest.NewTLSServer(a.handler)
	defer server.Close()
	client := server.Client()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	api := server.URL + "/wp-json/headlesskey/v1"
	call := func(method, url, body, media, token string) (*http.Response, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			q.Header.Set("Content-Type", media)
		}
		if token != "" {
			q.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(data)
	}
	field := func(text, name string) string {
		m := regexp.MustCompile(`"` + name + `":"([^"]+)"`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in %s", name, text)
		}
		return m[1]
	}
	_, text := call("POST", api+"/register", registerJohn, "application/json", "")
	_, text = call("POST", server.URL+"/autologin-token", "", "", field(text, "token"))
	ticket := field(text, "token")

	client.Jar = jar // from here on it is the browser
	resp, page := call("GET", api+"/autologin?JWT="+ticket+"&redirectUrl=https://evil.test/", "", "", "")
	if resp.StatusCode != 200 || !strings.Contains(page, "<form") {
		t.Fatalf("the link answered %d %s", resp.StatusCode, page)
	}
	form := url.Values{"JWT": {ticket}, "redirectUrl": {"https://evil.test/"}}.Encode()
	resp, page = call("POST", api+"/autologin?", form, "application/x-www-form-urlencoded", "")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "https://app.example.test/welcome?u=johndoe" {
		t.Fatalf("answered %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), page)
	}
	if resp, text := call("GET", server.URL+"/hello", "", "", ""); resp.StatusCode != 200 {
		t.Errorf("with the cookies: %d %s", resp.StatusCode, text)
	}
}
