package jwtauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// Every exported type is in one of the two lists below: who adds one decides.

// canary is in every place of a holder where a secret can be.
const canary = "canary-4fb2a90c7de1358640fa9b27c6d1"

// holders returns a value of each exported type that can hold a secret.
func holders(t testing.TB) map[string]any {
	t.Helper()
	secret := []byte(canary)
	key := must(jwtauth.HS256("k", secret))(t)
	keys := must(jwtauth.NewKeySet(key))(t)
	user := jwtauth.User{ID: "1", PasswordHash: canary}
	site := jwtauth.SSOSite{Key: "a", Secret: secret, OldSecret: secret, Keys: keys}
	data := jwtauth.MailData{Link: canary, Code: canary}
	passwords := jwtauth.PasswordConfig{DearestHash: canary}
	code := jwtauth.AuthCode{Code: canary}
	cfg := testConfig(t)
	store := jwtauth.NewMemoryStore()
	cfg.Secret, cfg.OldSecrets, cfg.Store = []byte("new-"+canary), [][]byte{[]byte("old-" + canary)}, store
	cfg.Access.Codes = []jwtauth.AuthCode{code}
	auth := must(jwtauth.New(cfg))(t)
	must(store.CreateUser(bg, jwtauth.User{LoginKey: "a", PasswordHash: canary}))(t)
	verifier := jwtauth.VerifierConfig{Keys: keys, Issuer: testIssuer}
	return map[string]any{
		"Admission":     jwtauth.Admission{Token: canary, RefreshToken: canary, Code: canary},
		"AutoLoginPage": jwtauth.AutoLoginPage{Token: canary}, "Gate": must(auth.NewGate(cfg.Access, "x"))(t),
		"AccessConfig": jwtauth.AccessConfig{Codes: []jwtauth.AuthCode{code}}, "AuditKey": jwtauth.AuditKey{Key: secret},
		"AuditRecord": jwtauth.AuditRecord{Key: secret}, "Auth": auth, "AuthCode": code,
		"Client": jwtauth.Client{DeviceToken: canary}, "Config": cfg, "Credentials": jwtauth.Credentials{Login: canary, Password: canary},
		"EmailVerification": jwtauth.EmailVerification{Token: canary, Code: canary}, "Error": &jwtauth.Error{Code: "x"},
		"Exchange": jwtauth.Exchange{Token: canary, Signature: canary},
		"Grant":    jwtauth.Grant{AccessToken: canary, RefreshToken: canary, DeviceToken: canary, User: user},
		"Key":      key, "KeySet": keys, "MailData": data, "MemoryStore": store,
		"Message":        jwtauth.Message{Subject: canary, Text: canary, HTML: canary, Data: data},
		"PasswordChange": jwtauth.PasswordChange{Current: canary, New: canary}, "PasswordConfig": passwords,
		"PasswordReset": jwtauth.PasswordReset{Password: canary, Token: canary, Code: canary},
		"Registration":  jwtauth.Registration{Password: canary}, "SSOConfig": jwtauth.SSOConfig{Sites: []jwtauth.SSOSite{site}},
		"SSOSite": site, "Secret": jwtauth.Secret(canary), "User": user, "VerifierConfig": verifier,
		"Verifier": must(jwtauth.NewVerifier(verifier))(t),
	}
}

// harmless are the exported types that have no place for a secret.
var harmless = []string{"AccessRule", "AccountConfig", "AuditConfig", "AuditMark", "AuditQuery", "AuditSeal", "AutoLoginConfig", "CORSConfig",
	"Claims", "CookieConfig", "Count", "Cursor", "DeadLetter", "Delivery", "DevelopmentConfig", "Event", "EventFilter", "Finding", "Forgot", "Outages", "RevocationView", "RevocationViewConfig", "RevocationViewStats", "Hooks", "Identity", "JWKS",
	"JWKSConfig", "KeyInfo", "Label", "Limit", "LimitConfig", "Lock", "LockQuery", "LockoutConfig", "LockoutTier", "MailConfig", "MailTemplate", "MemoryLimiter", "Metric",
	"MetricKind", "OneTimeCode", "Outcome", "ProtectRule", "Protection", "ProxyConfig", "RecoveryConfig", "RegistrationConfig", "Revocation", "Route", "Rule", "Session",
	"SessionAdvance", "SessionConfig", "SessionLimit", "SessionQuery", "Setting", "TokenConfig", "TokenProfile", "TokenRef", "TrailReport", "Usage", "UserQuery", "VerificationConfig", "WebhookStatus"}

// stored are holders that a store may keep as JSON: there, they have to be whole.
var stored = []string{"AuditKey", "AuditRecord"}

// exportedTypes returns the names of all exported types but interfaces.
func exportedTypes(t testing.TB) (names []string) {
	t.Helper()
	for _, entry := range must(os.ReadDir("."))(t) {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file := must(parser.ParseFile(token.NewFileSet(), entry.Name(), nil, 0))(t)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if _, isInterface := spec.Type.(*ast.InterfaceType); spec.Name.IsExported() && !isInterface {
				names = append(names, spec.Name.Name)
			}
			return false
		})
	}
	return names
}

// shown is how programs show a value: by fmt, JSON and slog, alone and within
// something else.
func shown(v any) map[string]string {
	within := []any{v, &v, struct{ V any }{v}, map[string]any{"v": v}, []any{v}}
	out := map[string]string{}
	for i, x := range within {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			out[fmt.Sprintf("%s of form %d", verb, i)] = fmt.Sprintf(verb, x)
		}
		data, err := json.Marshal(x)
		out[fmt.Sprintf("JSON of form %d", i)] = fmt.Sprint(string(data), err)
		var log bytes.Buffer
		slog.New(slog.NewMultiHandler(slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil))).Info("x", "v", x)
		out[fmt.Sprintf("slog of form %d", i)] = log.String()
	}
	if s, ok := v.(fmt.Stringer); ok {
		out["String()"] = s.String()
	}
	if e, ok := v.(error); ok {
		out["Error()"] = e.Error()
	}
	return out
}

// The verb of a number used to show a Secret, as part of the complaint about it.
func TestSecretIsHiddenFromEveryVerb(t *testing.T) {
	for name, v := range map[string]any{"Secret": jwtauth.Secret(canary), "User": jwtauth.User{PasswordHash: canary},
		"list": []jwtauth.Secret{canary}, "map": map[jwtauth.Secret]jwtauth.Secret{canary: canary}} {
		for _, verb := range []string{"%d", "%t", "%8.3f", "%c", "%U", "%X", "%20s", "%.2v", "%z"} {
			if text := fmt.Sprintf(verb, v); !strings.Contains(text, "[redacted]") || strings.Contains(text, canary[:4]) {
				t.Errorf("%s of a %s: %s", verb, name, text)
			}
		}
	}
}

func TestNoExportedTypeShowsASecret(t *testing.T) {
	var c canaries
	c.plant("secret", canary, "new-"+canary, "old-"+canary)
	all := holders(t)
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			for how, text := range shown(v) {
				if c.found(text) != nil && !(slices.Contains(stored, name) && !strings.HasPrefix(how, "%")) {
					t.Errorf("%s: %.200s", how, text)
				}
			}
		})
	}
	for _, name := range exportedTypes(t) {
		_, holds := all[name]
		if !holds && !slices.Contains(harmless, name) {
			t.Errorf("can a %s hold a secret? Add it to holders or to harmless", name)
		}
	}
}
