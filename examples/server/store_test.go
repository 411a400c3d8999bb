package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A server that is started again on a file knows everything that it knew: the
// account, the session and its token, what was revoked, and how its trail ends.
func TestRestartOnSQLiteLosesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth with ?#%.db")
	args := []string{"-db", "sqlite:" + file, "-issuer", "https://auth.example.test"}
	first := start(t, quick, environment(), args...)
	kept := first.john(t)
	gone := want(t, send(t, "POST", first.api+"/token", loginJohn, ""), 200, "").str("token")
	want(t, send(t, "POST", first.api+"/token/revoke", "", gone), 200, "")
	first.stop()
	if err := first.wait(); err != nil {
		t.Fatal(err)
	}
	second := start(t, quick, environment(), args...)
	want(t, send(t, "POST", second.api+"/token/validate", "", kept), 200, "")
	want(t, send(t, "POST", second.api+"/token/validate", "", gone), 401, "jwt_auth_invalid_token")
	want(t, send(t, "POST", second.api+"/register", registerJohn, ""), 409, "")
	want(t, send(t, "POST", second.api+"/token", loginJohn, ""), 200, "")

	for _, name := range []string{file, file + "-wal", file + ".keys"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is for more than its owner: %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestDatabaseURLs(t *testing.T) {
	for where, want := range map[string]string{
		"mysql://root@127.0.0.1/auth":               "root@tcp(127.0.0.1:3306)/auth?timeout=5s",
		"mysql://a:p%40ss%3A%2Fw@db.test:3307/auth": "a:p@ss:/w@tcp(db.test:3307)/auth?timeout=5s",
		"mysql://a@[::1]/auth?tls=true&timeout=10s": "a@tcp([::1]:3306)/auth?tls=true&timeout=10s",
	} {
		if got, err := mysqlDSN(where); err != nil || got != want {
			t.Errorf("mysqlDSN(%q) is %q, %v; want %q", where, got, err, want)
		}
	}
	for where, want := range map[string]string{
		"postgres://a:b@db.test/auth":                   "postgres://a:b@db.test/auth?connect_timeout=5",
		"postgres://a:b@db.test/auth?connect_timeout=1": "postgres://a:b@db.test/auth?connect_timeout=1",
	} {
		if got := withTimeout(where); got != want {
			t.Errorf("withTimeout(%q) is %q, want %q", where, got, want)
		}
	}
}
