package jwtauth_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// configFields lists the paths of all fields of a Config.
func configFields(path string, typ reflect.Type) (fields []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[jwtauth.Rule]():
			fields = append(fields, configFields(path+f.Name+".", f.Type)...)
		default:
			fields = append(fields, path+f.Name)
		}
	}
	return fields
}

// A field that is added to Config has to be described, or left out on purpose.
func TestSettingsHaveEveryField(t *testing.T) {
	omitted := []string{"Now", "Logger"}
	a, _ := newAuth(t)
	var got []string
	for _, s := range a.Settings() {
		got = append(got, s.Name)
		if s.Value == "" || s.Section == "" {
			t.Errorf("no value: %+v", s)
		}
	}
	want := slices.DeleteFunc(configFields("", reflect.TypeFor[jwtauth.Config]()), func(f string) bool { return slices.Contains(omitted, f) })
	slices.Sort(got)
	slices.Sort(want)
	for _, f := range want {
		if _, found := slices.BinarySearch(got, f); !found {
			t.Errorf("Config.%s is not described", f)
		}
	}
	for _, f := range got {
		if _, found := slices.BinarySearch(want, f); !found {
			t.Errorf("Config has no %s", f)
		}
	}
	if len(got) != len(slices.Compact(got)) {
		t.Error("a field is described twice")
	}
}

func TestSettingsAreThoseInEffect(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits = jwtauth.LimitConfig{Refresh: jwtauth.Rule{Limit: -1}}
		cfg.Sessions.Grace, cfg.Tokens.CacheSize = -1, -1
		cfg.Access.Codes = []jwtauth.AuthCode{{Code: "a code that is long enough"}}
		cfg.Access.Endpoints = map[string]jwtauth.AccessRule{"register": {Off: true}, "login": {Code: true, AllowIPs: []string{"192.0.2.0/24"}}}
		cfg.Audit.Retention = -1
	})
	values := map[string]string{}
	for _, s := range a.Settings() {
		values[s.Name] = s.Value
	}
	for name, want := range map[string]string{
		"Issuer": testIssuer, "Audience": testIssuer, "Store": "*jwtauth.MemoryStore", "Users": "*jwtauth.MemoryStore",
		"Secret": "set", "OldSecrets": "none", "Tokens.TTL": "1 h", "Tokens.CacheSize": "none", "Sessions.Lifetime": "30 d",
		"Sessions.Grace": "none", "Sessions.MaxPerUser": "no limit", "Limits.Login": "5 in 1 min", "Limits.Refresh": "none",
		"Limits.Limiter": "*jwtauth.MemoryLimiter", "Passwords.Memory": "64 KiB", "Passwords.MaxWait": "1 s",
		"Lockout.Device": "5 in 1 min, 20 in 1 h, 50 in 1 d", "Access.Endpoints": "login: from 192.0.2.0/24, a code; register: off",
		"Audit.Retention": "for good", "Audit.Roles": "administrator", "CORS.Origins": "all, without cookies", "Cookies.Enabled": "no",
		"Proxies.Header": "X-Forwarded-For", "Mail.Mailer": "none", "Hooks.Claims": "none",
	} {
		if values[name] != want {
			t.Errorf("%s is %q, want %q", name, values[name], want)
		}
	}
	if !strings.HasPrefix(values["Keys"], "ES256 ") || !strings.HasSuffix(values["Keys"], " (signs)") {
		t.Errorf("Keys is %q", values["Keys"])
	}
}

// everyScheme knows every hash and accepts none.
type everyScheme struct{}

func (everyScheme) Recognizes(string) bool              { return true }
func (everyScheme) Verify(string, string) (bool, error) { return false, nil }

func TestSettingsHoldNoSecret(t *testing.T) {
	cfg := holders(t)["Config"].(jwtauth.Config)
	key := must(jwtauth.HS256("k", []byte("key-"+canary)))(t)
	cfg.Keys = must(jwtauth.NewKeySet(key))(t)
	cfg.Access.Codes = []jwtauth.AuthCode{{Code: canary}}
	cfg.Passwords.DearestHash, cfg.Passwords.Verifiers = canary, []jwtauth.PasswordVerifier{everyScheme{}}
	cfg.Recovery.URL = "https://app.example.test/reset?key=" + canary
	cfg.SSO.Sites = []jwtauth.SSOSite{{Key: "a", Secret: []byte("site-" + canary), OldSecret: []byte("former-" + canary), Issuer: "https://a.example.test",
		Keys: must(jwtauth.NewVerifyKeySet(must(jwtauth.HS256("s", []byte("other-"+canary)))(t)))(t)}}
	a := must(jwtauth.New(cfg))(t)
	data := must(json.Marshal(a.Settings()))(t)
	var c canaries
	c.plant("secret", canary)
	if c.found(string(data)) != nil {
		t.Errorf("a secret shows: %s", data)
	}
	if !strings.Contains(string(data), "a (https://a.example.test)") {
		t.Errorf("no site: %s", data)
	}
}

func TestKeysTellWhenTheyWereMade(t *testing.T) {
	before := time.Now()
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Keys = must(jwtauth.OpenKeys(t.TempDir(), "ES256"))(t) })
	keys := a.Keys()
	if len(keys) != 1 || !keys[0].Signing || keys[0].Created.Before(before.Add(-time.Minute)) {
		t.Errorf("keys are %+v", keys)
	}
	generated := must(jwtauth.NewKeySet(must(jwtauth.GenerateKey("ES256"))(t)))(t)
	if made := generated.Keys()[0].Created; made.Before(before) {
		t.Errorf("made at %v", made)
	}
	given := must(jwtauth.NewKeySet(must(jwtauth.HS256("k", testSecret))(t)))(t)
	if made := given.Keys()[0].Created; !made.IsZero() {
		t.Errorf("made at %v, which nobody knows", made)
	}
}

func TestHostsRecordWhatTheServiceDoesNot(t *testing.T) {
	a, c := newAuth(t)
	g := register(t, a, "root")
	id := must(a.Verify(bg, g.AccessToken))(t)
	ctx := a.WithIdentity(httptest.NewRequest("GET", "/", nil), id).Context()
	count := func(name string) int { return len(must(a.Events(bg, jwtauth.EventFilter{Name: name}))(t)) }
	for _, name := range []string{jwtauth.EventLogin, jwtauth.EventUnlock, "app.own", ""} {
		if err := a.Record(ctx, jwtauth.Event{Name: name}); jwtauth.Code(err) != "rest_invalid_param" {
			t.Errorf("recording %q: %v", name, err)
		}
	}
	for range 2 {
		if err := a.Record(ctx, jwtauth.Event{Name: jwtauth.EventKeyRotate}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(jwtauth.EventKeyRotate); n != 2 {
		t.Errorf("%d rotations recorded, want 2", n)
	}
	if e := must(a.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventKeyRotate}))(t)[0]; e.ActorID != g.User.ID || e.UserID != "" {
		t.Errorf("recorded %+v", e)
	}
	read := func(user string) {
		t.Helper()
		if err := a.Record(ctx, jwtauth.Event{Name: jwtauth.EventReadAccount, UserID: user}); err != nil {
			t.Fatal(err)
		}
	}
	read("7")
	read("7")
	read("8")
	if n := count(jwtauth.EventReadAccount); n != 2 {
		t.Errorf("%d reads recorded, want 2: one for each account", n)
	}
	c.Add(5 * time.Minute)
	read("7")
	if n := count(jwtauth.EventReadAccount); n != 3 {
		t.Errorf("%d reads recorded, want 3", n)
	}
}

// Names for filters are those that there are.
func TestEventNamesAreComplete(t *testing.T) {
	names := jwtauth.EventNames()
	for constant, name := range eventConstants(t) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", constant)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or a name twice: %v", names)
	}
}

// eventConstants reads them from the source.
func eventConstants(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	file := must(parser.ParseFile(token.NewFileSet(), "event.go", nil, 0))(t)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Event") && len(spec.Values) == 1 {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names[spec.Names[0].Name] = name
		}
		return true
	})
	if len(names) < 30 {
		t.Fatalf("only %d events found", len(names))
	}
	return names
}
