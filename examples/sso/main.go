// Command sso runs two sites in one process. Users of site A sign in at site B
// without a password there:
//
//	go run ./examples/sso
//
// It registers a user at A, sends the user over to B, and prints what each side
// says.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/go-jwtauth/jwtauth"
)

const (
	issuerA = "https://a.example.com"
	issuerB = "https://b.example.com"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	keyA, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		return err
	}
	shared := random() // both sites know it, and nobody else
	a, err := newSite(issuerA, keyA, jwtauth.SSOConfig{})
	if err != nil {
		return err
	}
	trust, err := trustA(keyA, shared)
	if err != nil {
		return err
	}
	keyB, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		return err
	}
	b, err := newSite(issuerB, keyB, trust)
	if err != nil {
		return err
	}
	return sendOver(ctx, out, a, b, shared)
}

// trustA is what site B is told about site A: its public key and nothing secret
// but the secret they share. Over a network, SSOSite.JWKS fetches the key.
func trustA(keyA jwtauth.Key, shared []byte) (jwtauth.SSOConfig, error) {
	pem, err := keyA.PublicPEM()
	if err != nil {
		return jwtauth.SSOConfig{}, err
	}
	public, err := jwtauth.ES256(keyA.ID(), pem)
	if err != nil {
		return jwtauth.SSOConfig{}, err
	}
	keys, err := jwtauth.NewVerifyKeySet(public)
	if err != nil {
		return jwtauth.SSOConfig{}, err
	}
	return jwtauth.SSOConfig{Sites: []jwtauth.SSOSite{{
		Key: "site-a", Secret: shared, Issuer: issuerA, Keys: keys,
		Create: true, Roles: map[string]string{"editor": "author"},
	}}}, nil
}

func newSite(issuer string, key jwtauth.Key, sso jwtauth.SSOConfig) (*jwtauth.Auth, error) {
	keys, err := jwtauth.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	return jwtauth.New(jwtauth.Config{Issuer: issuer, Keys: keys, Secret: random(), SSO: sso,
		Store: jwtauth.NewMemoryStore(), Logger: slog.New(slog.DiscardHandler)})
}

// sendOver is what happens when somebody who is logged in at A follows a link to B.
func sendOver(ctx context.Context, out io.Writer, a, b *jwtauth.Auth, shared []byte) error {
	user, err := a.CreateUser(ctx, jwtauth.Registration{Username: "ada", Email: "ada@example.com",
		Password: "a long pass phrase", Roles: []string{"editor"}})
	if err != nil {
		return err
	}
	// Site A makes the three fields that the browser, or A itself, posts to
	// B's /sso/exchange.
	token, err := a.SSOToken(ctx, user.ID, issuerB)
	if err != nil {
		return err
	}
	exchange := jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", shared, token)}
	grant, err := b.ExchangeSSO(ctx, exchange)
	if err != nil {
		return err
	}
	id, err := b.Verify(ctx, grant.AccessToken)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "site B: welcome %s, roles %v\n", grant.User.Login, id.Roles)
	_, err = b.ExchangeSSO(ctx, exchange)
	fmt.Fprintf(out, "site B, the same exchange again: %s\n", jwtauth.Code(err))
	return nil
}

func random() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails: the program ends instead (crypto/rand)
	return secret
}
