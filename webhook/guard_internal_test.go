package webhook

// This test is internal because New refuses these URLs: only in here can one see
// that an attempt would refuse them too.

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func TestSSRFVectorsAreRefusedAtTheDial(t *testing.T) {
	data, err := os.ReadFile("../testdata/web/ssrf_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []struct{ URL, Why string } }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	dead := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}
	refusals := map[string]int{}
	for _, v := range file.Vectors {
		// Neither the URL nor the name is judged here, but for http.
		e := Endpoint{URL: v.URL, Timeout: time.Second, InsecureAllowHTTP: true}
		s := &sender{Endpoint: e, d: &Dispatcher{cfg: Config{Now: time.Now}}, client: newClient(Config{Resolver: dead}, e)}
		err := s.post(t.Context(), jwtauth.Event{ID: "id", Name: "login"})
		if err == nil {
			t.Fatalf("%s (%s): posted", v.URL, v.Why)
		}
		refusals[err.Error()]++
	}
	// Two names tell nothing before they are resolved; the test of what
	// they resolve to is in webhook_test.go.
	if n := refusals["the name does not resolve"]; n != 2 || refusals[errURL.Error()] != len(file.Vectors)-2 {
		t.Errorf("refusals: %v", refusals)
	}

	// The dialer alone, with the check of the URL out of the way.
	refusals = map[string]int{}
	for _, v := range file.Vectors {
		e := Endpoint{Timeout: time.Second, InsecureAllowHTTP: true}
		client := newClient(Config{Resolver: dead}, e)
		client.Transport = client.Transport.(guard).next
		s := &sender{Endpoint: Endpoint{URL: v.URL, Timeout: time.Second}, d: &Dispatcher{cfg: Config{Now: time.Now}}, client: client}
		err := s.post(t.Context(), jwtauth.Event{ID: "id", Name: "login"})
		if err == nil {
			t.Fatalf("%s (%s): dialled", v.URL, v.Why)
		}
		refusals[err.Error()]++
	}
	if refusals["the address is not on the public internet"] < 22 || refusals["no answer in time"]+refusals["no connection"] > 0 {
		t.Errorf("refusals at the dial: %v", refusals)
	}
}
