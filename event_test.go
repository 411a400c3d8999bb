package jwtauth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func TestEventsAreReadAsTheyWereWritten(t *testing.T) {
	whole := jwtauth.Event{ID: "0192f1a0-0000-7000-8000-000000000001", Time: epoch.Add(123456 * time.Microsecond), Name: jwtauth.EventLogin,
		Result: jwtauth.ResultRefused, Reason: "locked", Count: 7, UserID: "42", ActorID: "u-\"é\u2028", SessionID: "s", TokenID: "t",
		Address: "2001:db8::1", UserAgent: "Mozilla/5.0 \x1b[31m", DeviceID: "d", RequestID: "r", Sequence: 1 << 40}
	for name, e := range map[string]jwtauth.Event{
		"every field":        whole,
		"no user":            {ID: "a", Time: epoch, Name: "login", Result: "ok", Count: 1},
		"deleted account":    {ID: "a", Time: epoch, Name: "login", Result: "ok", Count: 1, Erased: true},
		"id beyond a number": {ID: "a", Time: epoch, UserID: "18014398509481984", ActorID: "007"},
	} {
		text := must(json.Marshal(e))(t)
		var back jwtauth.Event
		if err := json.Unmarshal(text, &back); err != nil || back != e {
			t.Errorf("%s: %s was read as %+v, %v", name, text, back, err)
		}
	}
	for _, text := range []string{`{}`, `{"time":"yesterday"}`, `[]`, `{"time":"2026-01-01T12:00:00Z","user":{}}`, `{"time":"2026-01-01T12:00:00Z","user":true}`} {
		if err := json.Unmarshal([]byte(text), new(jwtauth.Event)); err == nil {
			t.Errorf("%s accepted", text)
		}
	}
}
