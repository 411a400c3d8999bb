package jwtauth_test

import (
	"context"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// The names and forms that clients of this API send besides the documented ones.
func TestAliases(t *testing.T) {
	type world struct {
		grant *jwtauth.Grant
		code  string
	}
	const next = "another long pass phrase"
	for _, tc := range []struct {
		name, path string
		body       func(w world) any
		header     bool
		want       string // a member that the answer has
	}{
		{"username that is an address", "/token", func(world) any { return object{"username": "alice@example.test", "password": testPassword} }, false, "token"},
		{"login in place of username", "/token", func(world) any { return object{"login": "alice", "password": testPassword} }, false, "token"},
		{"email in place of username", "/login", func(world) any { return object{"email": "alice@example.test", "password": testPassword} }, false, "token"},
		{"validate with the header alone", "/token/validate", func(world) any { return nil }, true, "expires_at"},
		{"validate with the header and an empty object", "/token/validate", func(world) any { return object{} }, true, "data.user.id"},
		{"validate with both, alike", "/token/validate", func(w world) any { return object{"token": w.grant.AccessToken} }, true, "data.ID"},
		{"validate with the token alone", "/token/validate", func(w world) any { return object{"token": w.grant.AccessToken} }, false, "data.data.ID"},
		{"refresh with the header alone", "/token/refresh", func(world) any { return nil }, true, "token"},
		{"refresh with the token alone", "/token/refresh", func(w world) any { return object{"token": w.grant.AccessToken} }, false, "token"},
		{"revoke with the header alone", "/token/revoke", func(world) any { return nil }, true, "message"},
		{"revoke with the token alone", "/token/revoke", func(w world) any { return object{"token": w.grant.AccessToken} }, false, "message"},
		{"revoke at its short address", "/revoke", func(world) any { return nil }, true, "message"},
		{"first and last name", "/register", func(world) any {
			return object{"username": "bob", "email": "bob@example.test", "password": testPassword, "first_name": "Bob", "last_name": "Ross"}
		}, false, "token_response.token"},
		{"display_name", "/register", func(world) any {
			return object{"user_login": "bob", "email": "bob@example.test", "password": testPassword, "display_name": "Bob"}
		}, false, "user_id"},
		{"forgot by email", "/forgot-password", func(world) any { return object{"email": "alice@example.test"} }, false, "message"},
		{"forgot by username", "/forgot-password", func(world) any { return object{"username": "alice"} }, false, "message"},
		{"forgot by user_login", "/forgot-password", func(world) any { return object{"user_login": "alice"} }, false, "message"},
		{"reset by code and email", "/reset-password", func(w world) any {
			return object{"email": "alice@example.test", "code": w.code, "password": next}
		}, false, "message"},
		{"old_password and password", "/change-password", func(world) any { return object{"old_password": testPassword, "password": next} }, true, "message"},
		{"change-password with the token in the body", "/change-password", func(w world) any {
			return object{"token": w.grant.AccessToken, "current_password": testPassword, "new_password": next}
		}, false, "message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _ := newAuth(t)
			w := world{grant: register(t, a, "alice")}
			codes := make(chan string, 1)
			if err := a.ForgotPassword(bg, jwtauth.Forgot{Login: "alice", Delivery: jwtauth.DeliveryCode,
				Deliver: func(_ context.Context, _ jwtauth.User, code string) { codes <- code }}); err != nil {
				t.Fatal(err)
			}
			w.code = <-codes
			token := ""
			if tc.header {
				token = w.grant.AccessToken
			}
			r := send(t, a.Handler(), request{method: "POST", path: tc.path, body: tc.body(w), token: token})
			if r.status != 200 || r.at(tc.want) == nil {
				t.Errorf("answered %d %s, want %s", r.status, r.text, tc.want)
			}
		})
	}
}

// A rule for revoke holds at both of its addresses.
func TestRuleForAnAlias(t *testing.T) {
	a, _ := newAuth(t, restrict("revoke", jwtauth.AccessRule{Off: true}))
	g := register(t, a, "alice")
	for _, path := range []string{"/token/revoke", "/revoke"} {
		wantError(t, send(t, a.Handler(), request{method: "POST", path: path, token: g.AccessToken}), 404, "rest_no_route")
	}
}

// What is refused at an alias has a record under the name of what it stands for.
func TestAliasIsRecorded(t *testing.T) {
	var events []jwtauth.Event
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.OnEvent = func(_ context.Context, e jwtauth.Event) { events = append(events, e) }
	})
	wantError(t, send(t, a.Handler(), request{method: "POST", path: "/revoke"}), 401, "missing_token")
	if len(events) != 1 || events[0].Name != jwtauth.EventRevoke || events[0].Reason != "missing_token" {
		t.Errorf("recorded %+v", events)
	}
}
