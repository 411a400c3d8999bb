package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

func TestWebhooksOfTheFileAreSent(t *testing.T) {
	secret := webhook.NewSecret()
	got := make(chan webhook.Message, 10)
	sink := httptest.NewServer(webhook.Receiver{Secrets: []jwtauth.Secret{secret},
		Handle: func(_ context.Context, _ string, m webhook.Message) error { got <- m; return nil }})
	defer sink.Close()
	hooks, err := json.Marshal(map[string]any{"webhooks": []hook{{Name: "a", URL: sink.URL, Secrets: []string{string(secret)},
		Events: []string{"register"}, InsecureAllowHTTP: true, InsecureAllowPrivate: true, GiveUpHours: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, with(t, string(hooks)), environment())
	// A new endpoint begins with what happens after it was first seen, which
	// may be after the first of these.
	deadline := time.After(time.Minute)
	for i := 0; ; i++ {
		body := strings.ReplaceAll(`{"username":"adaN","email":"adaN@example.com","password":"a long pass phrase"}`, "N", strings.Repeat("x", i))
		resp, err := http.Post(s.api+"/register", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		select {
		case m := <-got:
			if m.Type != "register" || m.Data.UserID == "" {
				t.Errorf("got %+v", m)
			}
			return
		case <-time.After(2 * time.Second):
		case <-deadline:
			t.Fatal("no event came")
		}
	}
}

func TestWebhookMistakesStopTheServer(t *testing.T) {
	err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-config", write(t, with(t, `{"webhooks":[{"name":"a","url":"https://canary@127.0.0.1/","secrets":["whsec_canary"]}]}`))},
		environment(), newOutput())
	if err == nil || !strings.Contains(err.Error(), "user info") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
