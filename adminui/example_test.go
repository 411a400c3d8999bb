package adminui_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/adminui"
)

// All three, with keys in a directory, so that an administrator can rotate them.
func Example() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	keys, errKeys := jwtauth.OpenKeys(dir, "ES256")
	secret, errSecret := jwtauth.OpenSecret(dir)
	auth, errAuth := jwtauth.New(jwtauth.Config{Issuer: "https://auth.example.com", Keys: keys, Secret: secret,
		Store: jwtauth.NewMemoryStore(), Cookies: jwtauth.CookieConfig{Enabled: true}})
	if err := errors.Join(errKeys, errSecret, errAuth); err != nil {
		log.Fatal(err)
	}

	const login = "/signin/?next={next}"
	admin, errAdmin := adminui.New(auth, adminui.Config{LoginURL: login, AccountURL: "/account/",
		Rotate: func(context.Context) error {
			_, err := jwtauth.AddKey(dir, "ES256")
			return errors.Join(err, keys.Reload())
		}})
	account, errAccount := adminui.NewAccount(auth, adminui.AccountConfig{LoginURL: login})
	signIn, errSignIn := adminui.NewSignIn(auth, adminui.SignInConfig{Next: "/account/"})
	if err := errors.Join(errAdmin, errAccount, errSignIn); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/", http.StripPrefix("/admin", admin))
	mux.Handle("/account/", http.StripPrefix("/account", account))
	mux.Handle("/signin/", http.StripPrefix("/signin", signIn))

	for _, path := range []string{"/admin/activity", "/account/", "/signin/"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /admin/activity 401
	// /account/ 401
	// /signin/ 200
}

// The addresses in the package documentation are those that there are.
func TestDocumentedAddressesAnswer(t *testing.T) {
	source, err := os.ReadFile("adminui.go")
	if err != nil {
		t.Fatal(err)
	}
	status := 204
	d, _ := deskWithWebhook(t, &status)
	first, _, _ := strings.Cut(string(source), "Of the pages for each user")
	lines := regexp.MustCompile(`//\t(GET|POST) +(/\S*)`).FindAllStringSubmatch(first, -1)
	if len(lines) < 15 {
		t.Fatalf("only %d addresses are documented", len(lines))
	}
	for _, m := range lines {
		if m[2] == "/keys/rotate" || m[2] == "/sign-out" {
			continue
		}
		if p := send(d.ui, request{method: m[1], path: m[2], grant: d.admin}); p.status == 405 || strings.Contains(p.words(), "nothing at this address") {
			t.Errorf("%s %s: %d", m[1], m[2], p.status)
		}
	}
}
