package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// everything is a config file as front ends of all three plugins need it.
func everything(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	secret := func() string { return base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text())) }
	return fmt.Sprintf(`{"issuer":"http://127.0.0.1:8080","secret":%q,"algorithm":"ES256","roles":{"default":"subscriber"},
		"limits":{"disabled":true},"lockout":{"disabled":true},"hash":{"memory_kib":64,"time":1,"insecure_for_tests":true},
		"auth_codes":[{"code":%q,"role":"editor","expires":"2090-01-01T00:00:00Z"}],
		"cors":{"origins":["https://app.example.test"]},"trusted_proxies":["10.0.0.0/8"],
		"sso":[{"key":"site-a","secret":%q,"issuer":"https://a.example.test","audience":"http://127.0.0.1:8080","public_key_pem":%s,"create":true}],
		"redirects":["https://app.example.test"],"recovery_url":"https://app.example.test/reset",
		"simple_jwt_login":{"version":"3","register":true,"delete":true,"reset_password":true,"reset_with_jwt":true,"autologin":true,"require_auth_code":["register"],
			"payload":["iat","exp","email","id","site","username"],"ttl_minutes":60,"refresh_ttl_minutes":20160,"allow_ips":"127.*.*.*","password_base64":false},
		"jwt_auth":{"mode":"pro"}}`, secret(), sampleCode, secret(), public)
}

const sampleCode = "k7Jq2ZxW9pLr4TnV8sDf3A"

// dialect is how one of the three APIs is used.
type dialect struct {
	name string
	// each returns the request; login also where its token is in the answer.
	login            func(name, password string) call
	token            string
	validate, revoke func(token string) call
}

// call is one request to a route below /wp-json.
type call struct {
	method, route, body, bearer string
}

func object(members ...string) string {
	m := map[string]string{}
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = members[i+1]
	}
	data, _ := json.Marshal(m) // strings always marshal
	return string(data)
}

var dialects = []dialect{
	{
		name: "headlesskey",
		login: func(n, p string) call {
			return call{"POST", "/headlesskey/v1/token", object("username", n, "password", p), ""}
		},
		token:    "token",
		validate: func(token string) call { return call{"POST", "/headlesskey/v1/token/validate", "", token} },
		revoke:   func(token string) call { return call{"POST", "/headlesskey/v1/token/revoke", "", token} },
	},
	{
		name: "jwt-auth",
		login: func(n, p string) call {
			return call{"POST", "/jwt-auth/v1/token", object("username", n, "password", p), ""}
		},
		token:    "token",
		validate: func(token string) call { return call{"POST", "/jwt-auth/v1/token/validate", "", token} },
		revoke:   func(token string) call { return call{"POST", "/jwt-auth/v1/token/revoke", "", token} },
	},
	{
		name: "simple-jwt-login",
		login: func(n, p string) call {
			return call{"POST", "/simple-jwt-login/v1/auth", object("login", n, "password", p), ""}
		},
		token: "data.jwt",
		validate: func(token string) call {
			return call{"GET", "/simple-jwt-login/v1/auth/validate?JWT=" + url.QueryEscape(token), "", ""}
		},
		revoke: func(token string) call {
			return call{"POST", "/simple-jwt-login/v1/auth/revoke", object("JWT", token), ""}
		},
	},
}

// registrations are the two ways to make an account.
var registrations = map[string]func(name string) call{
	"headlesskey": func(name string) call {
		return call{"POST", "/headlesskey/v1/register", object("username", name, "email", name+"@example.test", "password", longPassword), ""}
	},
	"simple-jwt-login": func(name string) call {
		return call{"POST", "/simple-jwt-login/v1/users", object("user_login", name, "email", name+"@example.test", "password", longPassword, "AUTH_KEY", sampleCode), ""}
	},
}

const longPassword = "correct horse battery staple"

// do makes a call in one of the two forms of its address.
func (s *server) do(t *testing.T, form string, c call) answer {
	t.Helper()
	target := s.base + "/wp-json" + c.route
	if form == "query" {
		route, query, _ := strings.Cut(c.route, "?")
		target = s.base + "/?rest_route=" + route + "&" + query
	}
	return send(t, c.method, target, c.body, c.bearer)
}

// One user store below all: who registers in one dialect logs in through the
// others, a token of one is good in the others, and one that is revoked in one
// is dead in all.
func TestDialectsShareEverything(t *testing.T) {
	s := start(t, everything(t), environment())
	n := 0
	for registration, register := range registrations {
		for _, from := range dialects {
			for _, ender := range dialects {
				n++
				form := []string{"path", "query"}[n%2]
				name := fmt.Sprintf("user%d", n)
				t.Run(fmt.Sprintf("%s, token of %s, ended by %s, %s", registration, from.name, ender.name, form), func(t *testing.T) {
					want(t, s.do(t, form, register(name)), 200, "")
					for _, login := range []string{name, name + "@example.test"} {
						token := want(t, s.do(t, form, from.login(login, longPassword)), 200, "").str(from.token)
						for _, d := range dialects {
							want(t, s.do(t, form, d.validate(token)), 200, "")
						}
						want(t, send(t, "GET", s.base+"/wp-json/wp/v2/users/me", "", token), 200, "")
						want(t, s.do(t, form, ender.revoke(token)), 200, "")
						for _, d := range dialects {
							if r := s.do(t, form, d.validate(token)); r.status != 401 && r.status != 403 {
								t.Errorf("%s still answers %d %s", d.name, r.status, r.text)
							}
						}
						want(t, send(t, "GET", s.base+"/wp-json/wp/v2/users/me", "", token), 401, "rest_not_logged_in")
					}
				})
			}
		}
	}
}

// A change of the password in one dialect ends the tokens of all.
func TestPasswordChangeEndsEveryToken(t *testing.T) {
	s := start(t, everything(t), environment())
	want(t, s.do(t, "path", registrations["simple-jwt-login"]("alice")), 200, "")
	var tokens []string
	for _, d := range dialects {
		tokens = append(tokens, want(t, s.do(t, "path", d.login("alice", longPassword)), 200, "").str(d.token))
	}
	want(t, s.do(t, "query", call{"PUT", "/simple-jwt-login/v1/user/reset_password",
		object("email", "alice@example.test", "new_password", "another long pass phrase", "JWT", tokens[1]), ""}), 200, "")
	for _, token := range tokens {
		for _, d := range dialects {
			if r := s.do(t, "path", d.validate(token)); r.status != 401 && r.status != 403 {
				t.Errorf("%s still answers %d %s", d.name, r.status, r.text)
			}
		}
	}
	for _, d := range dialects {
		want(t, s.do(t, "path", d.login("alice", "another long pass phrase")), 200, "")
		if r := s.do(t, "path", d.login("alice", longPassword)); r.status < 400 || r.status >= 500 {
			t.Errorf("%s: the old password is answered with %d", d.name, r.status)
		}
	}
}

// Wrong passwords count on the account, whichever dialect they come through.
func TestDialectsShareLockAndLimit(t *testing.T) {
	open := strings.Replace(everything(t), `"lockout":{"disabled":true}`, `"lockout":{"disabled":false}`, 1)
	s := start(t, open, environment())
	// This one opens no session, so the address stays a stranger's.
	want(t, s.do(t, "path", registrations["simple-jwt-login"]("alice")), 200, "")
	for i := range 6 {
		s.do(t, "path", dialects[i%3].login("alice", "wrong password"))
	}
	for _, d := range dialects {
		if r := s.do(t, "path", d.login("alice", longPassword)); r.status == 200 {
			t.Errorf("%s lets a locked account in", d.name)
		}
	}
	limited := start(t, strings.Replace(everything(t), `"limits":{"disabled":true}`, `"limits":{"login":{"limit":3,"seconds":3600}}`, 1), environment())
	for i := range 4 {
		r := limited.do(t, []string{"path", "query"}[i%2], dialects[i%3].login("nobody", "wrong password"))
		if (r.status == http.StatusTooManyRequests) != (i == 3) {
			t.Errorf("login %d answered %d %s", i+1, r.status, r.text)
		}
	}
}

// The addresses that may call are the same for every API.
func TestAddressListHoldsForEveryDialect(t *testing.T) {
	s := start(t, strings.Replace(everything(t), `"limits":`, `"allow_ips":["10.0.0.0/8"],"limits":`, 1), environment())
	for _, form := range []string{"path", "query"} {
		var calls []call
		for _, register := range registrations {
			calls = append(calls, register("alice"))
		}
		for _, d := range dialects {
			calls = append(calls, d.login("alice", longPassword), d.validate("a.b.c"), d.revoke("a.b.c"))
		}
		for _, c := range calls {
			r := s.do(t, form, c)
			number, _ := r.at("data.errorCode").(float64)
			if r.str("code") != "rest_forbidden" && number != 41 && number != 33 {
				t.Errorf("%s is answered from any address: %d %s", c.route, r.status, r.text)
			}
		}
	}
}

// A code is asked for at every address of the route that wants one.
func TestCodeIsAskedForAtEveryAddress(t *testing.T) {
	s := start(t, everything(t), environment())
	body := object("user_login", "mallory", "email", "mallory@example.test", "password", longPassword)
	for _, route := range []string{"/simple-jwt-login/v1/users", "/simple-jwt-login/v1/users/", "/simple-jwt-login/v1/register"} {
		for _, form := range []string{"path", "query"} {
			if r := s.do(t, form, call{"POST", route, body, ""}); r.status != 400 || r.at("data.errorCode") != 32.0 {
				t.Errorf("%s: %d %s", route, r.status, r.text)
			}
		}
	}
}

// Every API is in the index, with its routes.
func TestIndexOfEverything(t *testing.T) {
	s := start(t, everything(t), environment())
	index := want(t, send(t, "GET", s.base+"/wp-json", "", ""), 200, "")
	for _, name := range []string{"headlesskey/v1", "wpauthapi/v1", "jwt-auth/v1", "simple-jwt-login/v1", "wp/v2"} {
		if routes, _ := index.at("routes").(map[string]any); routes["/"+name] == nil {
			t.Errorf("%s is not listed", name)
		}
	}
	routes, _ := index.at("routes").(map[string]any)
	for _, route := range []string{"/headlesskey/v1/token", "/jwt-auth/v1/token/refresh", "/simple-jwt-login/v1/auth/validate"} {
		if routes[route] == nil {
			t.Errorf("%s is not listed", route)
		}
	}
}

// A page of a listed origin may send what the clients send; another may not.
func TestPreflightOfEverything(t *testing.T) {
	s := start(t, everything(t), environment())
	for origin, allowed := range map[string]bool{"https://app.example.test": true, "https://evil.example.test": false} {
		for _, target := range []string{"/wp-json/simple-jwt-login/v1/users", "/?rest_route=/simple-jwt-login/v1/users"} {
			for _, method := range []string{"PUT", "DELETE"} {
				r := do(t, "OPTIONS", s.base+target, "", http.Header{"Origin": {origin},
					"Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"content-type"}})
				if got := r.header.Get("Access-Control-Allow-Origin") == origin && r.header.Get("Access-Control-Allow-Methods") == method; got != allowed {
					t.Errorf("%s %s from %s: allowed %v", method, target, origin, got)
				}
			}
		}
	}
}
