package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// The example that Standard Webhooks publishes.
const (
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleTime      = "1614265330"
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var exampleNow = time.Unix(1614265330, 0)

func exampleHeader() http.Header {
	return http.Header{webhook.HeaderID: {exampleID}, webhook.HeaderTimestamp: {exampleTime}, webhook.HeaderSignature: {exampleSignature}}
}

func TestVerify(t *testing.T) {
	other := webhook.NewSecret()
	for _, tc := range []struct {
		name    string
		change  func(h http.Header)
		body    string
		late    time.Duration
		secrets []jwtauth.Secret
		want    error
	}{
		{name: "published example accepted"},
		{name: "second secret accepted", secrets: []jwtauth.Secret{other, secret}},
		{name: "one of several signatures accepted", change: func(h http.Header) {
			h.Set(webhook.HeaderSignature, "v1a,xxxx v1,AAAA "+exampleSignature)
		}},
		{name: "names in lower case accepted", change: func(h http.Header) {
			for _, name := range []string{webhook.HeaderID, webhook.HeaderTimestamp, webhook.HeaderSignature} {
				h[strings.ToLower(name)] = h[name]
				delete(h, name)
			}
		}},
		{name: "five minutes late accepted", late: 5 * time.Minute},
		{name: "five minutes early accepted", late: -5 * time.Minute},
		{name: "later refused", late: 5*time.Minute + time.Second, want: webhook.ErrUnverified},
		{name: "earlier refused", late: -5*time.Minute - time.Second, want: webhook.ErrUnverified},
		{name: "another body refused", body: exampleBody + " ", want: webhook.ErrUnverified},
		{name: "another id refused", change: func(h http.Header) { h.Set(webhook.HeaderID, exampleID+"x") }, want: webhook.ErrUnverified},
		{name: "another time refused", change: func(h http.Header) { h.Set(webhook.HeaderTimestamp, "1614265331") }, want: webhook.ErrUnverified},
		{name: "time with a sign refused", change: func(h http.Header) { h.Set(webhook.HeaderTimestamp, "+1614265330") }, want: webhook.ErrUnverified},
		{name: "no id refused", change: func(h http.Header) { h.Del(webhook.HeaderID) }, want: webhook.ErrUnverified},
		{name: "no time refused", change: func(h http.Header) { h.Del(webhook.HeaderTimestamp) }, want: webhook.ErrUnverified},
		{name: "no signature refused", change: func(h http.Header) { h.Del(webhook.HeaderSignature) }, want: webhook.ErrUnverified},
		{name: "empty signature refused", change: func(h http.Header) { h.Set(webhook.HeaderSignature, "v1,") }, want: webhook.ErrUnverified},
		{name: "id given twice refused", change: func(h http.Header) { h.Add(webhook.HeaderID, exampleID) }, want: webhook.ErrUnverified},
		{name: "other version refused", change: func(h http.Header) { h.Set(webhook.HeaderSignature, "v2"+exampleSignature[2:]) }, want: webhook.ErrUnverified},
		{name: "flood of signatures refused", change: func(h http.Header) {
			h.Set(webhook.HeaderSignature, strings.Repeat("v1,AAAA ", 16)+exampleSignature)
		}, want: webhook.ErrUnverified},
		{name: "other secret refused", secrets: []jwtauth.Secret{other}, want: webhook.ErrUnverified},
		{name: "empty secret refused", secrets: []jwtauth.Secret{""}, want: webhook.ErrSecret},
		{name: "secret of no bytes refused", secrets: []jwtauth.Secret{"whsec_"}, want: webhook.ErrSecret},
		{name: "no secret refused", secrets: []jwtauth.Secret{}, want: webhook.ErrSecret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, body, secrets := exampleHeader(), exampleBody, []jwtauth.Secret{secret}
			if tc.change != nil {
				tc.change(h)
			}
			if tc.body != "" {
				body = tc.body
			}
			if tc.secrets != nil {
				secrets = tc.secrets
			}
			id, err := webhook.Verify(h, []byte(body), exampleNow.Add(tc.late), secrets...)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (err == nil) != (id == exampleID) {
				t.Errorf("got %q, %v", id, err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(exampleID, exampleTime, exampleSignature, exampleBody)
	f.Add("a.1", "2", "v1, v1a,", "")
	f.Fuzz(func(t *testing.T, id, timestamp, signature, body string) {
		h := http.Header{webhook.HeaderID: {id}, webhook.HeaderTimestamp: {timestamp}, webhook.HeaderSignature: {signature}}
		if _, err := webhook.Verify(h, []byte(body), exampleNow, secret); err == nil && (id != exampleID || timestamp != exampleTime || body != exampleBody) {
			t.Error("something was accepted that nobody signed")
		}
	})
}

func TestReceiver(t *testing.T) {
	for _, tc := range []struct {
		name, method, body string
		header             http.Header
		handled            error
		want               int
	}{
		{"verified event taken", "POST", exampleBody, exampleHeader(), nil, 204},
		{"failed event comes again", "POST", exampleBody, exampleHeader(), errors.New("full"), 503},
		{"unsigned request refused", "POST", exampleBody, http.Header{}, nil, 401},
		{"other method refused", "GET", "", exampleHeader(), nil, 405},
		{"too long body refused", "POST", strings.Repeat("x", 64<<10+1), exampleHeader(), nil, 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			called := false
			rc := webhook.Receiver{Secrets: []jwtauth.Secret{secret}, Now: func() time.Time { return exampleNow },
				Handle: func(_ context.Context, id string, _ webhook.Message) error { called = true; return tc.handled }}
			r := httptest.NewRequest(tc.method, "/", strings.NewReader(tc.body))
			r.Header = tc.header
			w := httptest.NewRecorder()
			rc.ServeHTTP(w, r)
			if w.Code != tc.want || called != (tc.want == 204 || tc.want == 503) {
				t.Errorf("status %d, handled: %v", w.Code, called)
			}
		})
	}
}
