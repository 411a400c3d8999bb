package jwtauth_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-jwtauth/jwtauth"
)

// mailingAuth is an Auth that mails into a variable.
func mailingAuth(issuer string, box *postbox, change func(*jwtauth.Config)) *jwtauth.Auth {
	cfg := exampleConfig()
	cfg.Issuer, cfg.Mail.Mailer = issuer, box
	if change != nil {
		change(&cfg)
	}
	auth, err := jwtauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	return auth
}

// Somebody forgets the password, gets a code by mail, and sets a new one.
func ExampleAuth_ForgotPassword() {
	ctx := context.Background()
	box := &postbox{}
	auth := mailingAuth("https://auth.example.com", box, nil)
	if _, err := auth.Register(ctx, jwtauth.Registration{Username: "ada", Email: "ada@example.com", Password: "a long pass phrase"}); err != nil {
		log.Fatal(err)
	}

	err := auth.ForgotPassword(ctx, jwtauth.Forgot{Login: "ada@example.com", Delivery: jwtauth.DeliveryCode})
	fmt.Println("asked:", err)
	fmt.Println("asked for nobody:", auth.ForgotPassword(ctx, jwtauth.Forgot{Login: "nobody@example.com", Delivery: jwtauth.DeliveryCode}))

	if err := auth.Close(ctx); err != nil { // waits until the mail has left
		log.Fatal(err)
	}
	fmt.Println("mail:", box.Messages()[0].Subject)
	err = auth.ResetPassword(ctx, jwtauth.PasswordReset{Login: "ada", Code: box.Messages()[0].Data.Code, Password: "another long pass phrase"})
	fmt.Println("reset:", err)
	// Output:
	// asked: <nil>
	// asked for nobody: <nil>
	// mail: Your code for auth.example.com
	// reset: <nil>
}

// A site sends its user over to another one, which trusts its key.
func ExampleAuth_ExchangeSSO() {
	ctx := context.Background()
	shared := []byte("a4c1f27e90b35d6688e10fd2c7395ab4") // both sites know it
	keys := exampleConfig().Keys
	a := mailingAuth("https://a.example.com", &postbox{}, func(cfg *jwtauth.Config) { cfg.Keys = keys })
	b := mailingAuth("https://b.example.com", &postbox{}, func(cfg *jwtauth.Config) {
		cfg.SSO.Sites = []jwtauth.SSOSite{{Key: "site-a", Secret: shared, Issuer: "https://a.example.com", Keys: keys, Create: true}}
	})

	user, err := a.CreateUser(ctx, jwtauth.Registration{Username: "ada", Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := a.SSOToken(ctx, user.ID, "https://b.example.com")
	if err != nil {
		log.Fatal(err)
	}
	grant, err := b.ExchangeSSO(ctx, jwtauth.Exchange{SiteKey: "site-a", Token: token, Signature: jwtauth.SignExchange("site-a", shared, token)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("site B knows", grant.User.Login)
	// Output: site B knows ada
}

// An app opens a browser that is signed in at once.
func ExampleAuth_AutoLogin() {
	ctx := context.Background()
	auth := mailingAuth("https://auth.example.com", &postbox{}, func(cfg *jwtauth.Config) {
		cfg.AutoLogin = jwtauth.AutoLoginConfig{Origins: []string{"https://app.example.com"}, Target: "https://app.example.com/welcome?u={{user_login}}"}
	})
	user, err := auth.CreateUser(ctx, jwtauth.Registration{Username: "ada", Email: "ada@example.com", Password: "a long pass phrase"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := auth.AutoLoginToken(ctx, user.ID) // goes into the link
	if err != nil {
		log.Fatal(err)
	}
	_, location, err := auth.AutoLogin(ctx, token, "https://evil.example")
	fmt.Println(location, err)
	_, _, err = auth.AutoLogin(ctx, token, "")
	fmt.Println("again:", jwtauth.Code(err))
	// Output:
	// https://app.example.com/welcome?u=ada <nil>
	// again: jwt_auth_invalid_token
}
