package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth/redisstore"
)

// redisURL is a database of the server to test with, or the test is skipped.
func redisURL(t *testing.T) string {
	t.Helper()
	url := "redis://127.0.0.1:6379"
	if env := os.Getenv("JWTAUTH_TEST_REDIS"); env != "" {
		url = "redis://" + strings.TrimPrefix(env, "redis://")
	}
	host := strings.TrimPrefix(url, "redis://")
	conn, err := net.DialTimeout("tcp", host, 20*time.Second)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Redis: %v", err)
		}
		t.Skipf("no Redis (%v): start one with \"redis-server --save ''\", or set JWTAUTH_TEST_REDIS", err)
	}
	_ = conn.Close()
	url += "/14"
	t.Cleanup(func() { removeKeys(t, url) })
	return url
}

// removeKeys deletes what the servers have stored.
func removeKeys(t *testing.T, url string) {
	client, err := redisstore.NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	keys := client.Scan(ctx, 0, "jwtauth:*", 1000).Iterator()
	for keys.Next(ctx) {
		client.Unlink(ctx, keys.Val())
	}
}

// Two servers with one Redis, each with accounts of its own in memory: what one
// revokes the other refuses, whether it asks every time or not.
func TestServersShareRedis(t *testing.T) {
	url := redisURL(t)
	for name, staleness := range map[string]time.Duration{"asking every time": 0, "told by Redis": time.Minute} {
		t.Run(name, func(t *testing.T) {
			keys := t.TempDir()
			serve := func() *app {
				ctx, cancel := context.WithCancel(context.Background())
				t.Cleanup(cancel)
				o := options{db: "memory", redis: url, staleness: staleness, keys: keys, config: write(t, quick)}
				a, err := newApp(ctx, o, "http://127.0.0.1:1", environment(), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = a.closeRedis() })
				return a
			}
			one, two := serve(), serve()
			token := registered(t, one)
			if status := get(two, token); status != http.StatusOK {
				t.Fatalf("the other server answers %d to a good token", status)
			}
			r := httptest.NewRequest("POST", "/wp-json/headlesskey/v1/token/revoke", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if one.handler.ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Fatalf("revoke: %d", w.Code)
			}
			deadline := time.After(20 * time.Second)
			for get(two, token) != http.StatusUnauthorized {
				if staleness == 0 {
					t.Fatal("the other server takes a token that was revoked")
				}
				select {
				case <-deadline:
					t.Fatal("the other server was not told")
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}

func registered(t *testing.T, a *app) string {
	t.Helper()
	body := `{"email":"alice@example.test","password":"a long pass phrase"}`
	r := httptest.NewRequest("POST", "/wp-json/headlesskey/v1/register", bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	var answer struct {
		Grant struct{ Token string } `json:"token_response"`
	}
	text, _ := io.ReadAll(w.Body)
	if err := json.Unmarshal(text, &answer); err != nil || answer.Grant.Token == "" {
		t.Fatalf("register: %d %s", w.Code, text)
	}
	return answer.Grant.Token
}

func get(a *app, token string) int {
	r := httptest.NewRequest("GET", "/hello", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w.Code
}

func TestRedisFlagsRefused(t *testing.T) {
	for name, o := range map[string]options{
		"staleness without redis": {staleness: time.Second},
		"no URL":                  {redis: "hunter2"},
		"nobody there":            {redis: "redis://user:hunter2@127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			o.db, o.config = "memory", write(t, quick)
			_, err := newApp(t.Context(), o, "http://127.0.0.1:1", environment(), slog.New(slog.DiscardHandler))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want one without the password", err)
			}
		})
	}
}
