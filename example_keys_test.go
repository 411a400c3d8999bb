package jwtauth_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/go-jwtauth/jwtauth"
)

// Most applications keep their keys in a directory. The first start makes one.
func ExampleOpenKeys() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	keys, err := jwtauth.OpenKeys(filepath.Join(dir, "keys"), "ES256")
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range keys.Keys() {
		fmt.Println(k.Algorithm, k.Signing)
	}
	// Output: ES256 true
}

// A signal handler or a cron job of the operator rotates like this.
func ExampleAddKey() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "keys")
	keys, err := jwtauth.OpenKeys(dir, "ES256")
	if err != nil {
		log.Fatal(err)
	}

	next, err := jwtauth.AddKey(dir, "ES256")
	if err != nil {
		log.Fatal(err)
	}
	if err := keys.Reload(); err != nil {
		log.Fatal(err)
	}
	infos := keys.Keys()
	fmt.Println(len(infos), "keys, the new one signs:", infos[0].ID == next.ID())
	// Output: 2 keys, the new one signs: true
}

// The secret may live beside the keys.
func ExampleOpenSecret() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	secret, err := jwtauth.OpenSecret(filepath.Join(dir, "keys"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(secret), "bytes")
	// Output: 32 bytes
}

func ExampleGenerateKey() {
	key, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Algorithm(), key.CanSign())
	// Output: ES256 true
}

// A service that issues tokens signs with one key and still accepts those of
// the key before. Here both are made on the spot; they usually come from files.
func ExampleNewKeySet() {
	old, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewKeySet(old)
	if err != nil {
		log.Fatal(err)
	}

	next, err := jwtauth.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	if err := keys.Rotate(next); err != nil {
		log.Fatal(err)
	}
	fmt.Println("during the overlap:", len(keys.Keys()))

	// When the last token of the old key has expired:
	if err := keys.Retire(old.ID()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("afterwards:", len(keys.Keys()))
	// Output:
	// during the overlap: 2
	// afterwards: 1
}

const examplePublicPEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEbQMZxKi4wnX9EdZaUjgVN3MYdqxh
SM6vGtE0hkh0d5B8JhOyjg09ukInhv0bQMB6ufgDladI9u64EDFB1x3R0g==
-----END PUBLIC KEY-----
`

// A service that only checks tokens needs the public half.
func ExampleNewVerifyKeySet() {
	key, err := jwtauth.ES256("2026-a", []byte(examplePublicPEM))
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwtauth.NewVerifyKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	jwks, err := keys.JWKS()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key, key.CanSign())
	fmt.Printf("%.9s…\n", jwks)
	// Output:
	// ES256 key 2026-a false
	// {"keys":[…
}

// The common mistake: a text that somebody made up, or copied.
func ExampleHS256() {
	_, err := jwtauth.HS256("2026-a", []byte("your-256-bit-secret-for-production"))
	fmt.Println(err)

	secret := make([]byte, 32)
	rand.Read(secret)
	key, err := jwtauth.HS256("2026-a", secret)
	fmt.Println(key, err)
	// Output:
	// jwtauth: HS256 key "2026-a": the secret is a well-known sample, or little more: make one with "openssl rand -base64 32"
	// HS256 key 2026-a <nil>
}

// The other common mistake: the key of another algorithm.
func ExampleRS256() {
	_, err := jwtauth.RS256("2026-a", []byte(examplePublicPEM))
	fmt.Println(err)
	// Output: jwtauth: RS256 key "2026-a": the PEM holds an EC key
}

func ExampleES256() {
	key, err := jwtauth.ES256("2026-a", []byte(examplePublicPEM))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key)
	// Output: ES256 key 2026-a
}

// A service that checks the tokens of another one fetches its keys. Nothing is
// asked before the first token comes.
func ExampleNewJWKS() {
	_, err := jwtauth.NewJWKS(jwtauth.JWKSConfig{URL: "https://id.example.com/.well-known/jwks.json"})
	fmt.Println(err)

	_, err = jwtauth.NewJWKS(jwtauth.JWKSConfig{URL: "http://id.example.com/.well-known/jwks.json"})
	fmt.Println(err)
	// Output:
	// <nil>
	// jwtauth: JWKSConfig.URL must use https (InsecureAllowHTTP accepts http)
}
