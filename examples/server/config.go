package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// file is what -config reads. Every key is optional; an absent one keeps the
// default of the field in jwtauth.Config that it stands for.
type file struct {
	// Issuer is the URL in every token.
	Issuer string `json:"issuer"`
	// Namespace is the path of the API below /wp-json/.
	Namespace string `json:"namespace"`
	// Secret is base64 of at least 32 bytes; for HS256 the signing key
	// derives from it too.
	Secret []byte `json:"secret"`
	// Algorithm is HS256, RS256 or ES256 with a generated key; a key file
	// says more and excludes it.
	Algorithm string `json:"algorithm"`
	// PrivateKeyFile is a PEM file, relative to the config file.
	PrivateKeyFile string `json:"private_key_file"`

	Roles struct {
		// Default is the role of a new account.
		Default string `json:"default"`
	} `json:"roles"`
	Limits struct {
		Disabled bool  `json:"disabled"`
		Login    *rule `json:"login"`
		Register *rule `json:"register"`
		Validate *rule `json:"validate"`
		Refresh  *rule `json:"refresh"`
		Revoke   *rule `json:"revoke"`
		Account  *rule `json:"account"`
	} `json:"limits"`
	Hash struct {
		MemoryKiB        int  `json:"memory_kib"`
		Time             int  `json:"time"`
		InsecureForTests bool `json:"insecure_for_tests"`
	} `json:"hash"`
	Sessions struct {
		// GraceSeconds may be 0, which means no grace.
		GraceSeconds *int `json:"grace_seconds"`
		MaxPerUser   int  `json:"max_per_user"`
		EvictOldest  bool `json:"evict_oldest"`
	} `json:"sessions"`
	Registration struct {
		Closed       bool     `json:"closed"`
		Private      bool     `json:"private"`
		EmailDomains []string `json:"email_domains"`
	} `json:"registration"`

	dir string
}

// rule is a limit: so many requests per so many seconds.
type rule struct {
	Limit   int `json:"limit"`
	Seconds int `json:"seconds"`
}

// readFile reads a config file. A key that it does not know is a mistake in
// the file, not something to pass over.
func readFile(name string) (file, error) {
	f := file{dir: filepath.Dir(name)}
	if name == "" {
		return f, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return f, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%s: more than one JSON value", name)
	}
	return f, nil
}

// apply writes what the file says into cfg; keys and stores come from
// elsewhere.
func (f file) apply(cfg *jwtauth.Config) {
	if f.Roles.Default != "" {
		cfg.Registration.Roles = []string{f.Roles.Default}
	}
	cfg.Registration.Closed = f.Registration.Closed
	cfg.Registration.Private = f.Registration.Private
	cfg.Registration.EmailDomains = f.Registration.EmailDomains
	cfg.Passwords.Memory = f.Hash.MemoryKiB
	cfg.Passwords.Time = f.Hash.Time
	cfg.Passwords.InsecureForTests = f.Hash.InsecureForTests
	cfg.Sessions.MaxPerUser = f.Sessions.MaxPerUser
	cfg.Sessions.EvictOldest = f.Sessions.EvictOldest
	if g := f.Sessions.GraceSeconds; g != nil {
		cfg.Sessions.Grace = time.Duration(*g) * time.Second
		if *g == 0 {
			cfg.Sessions.Grace = -1
		}
	}
	cfg.Limits.Disabled = f.Limits.Disabled
	for field, r := range map[*jwtauth.Rule]*rule{
		&cfg.Limits.Login: f.Limits.Login, &cfg.Limits.Register: f.Limits.Register,
		&cfg.Limits.Validate: f.Limits.Validate, &cfg.Limits.Refresh: f.Limits.Refresh,
		&cfg.Limits.Revoke: f.Limits.Revoke, &cfg.Limits.Account: f.Limits.Account,
	} {
		if r != nil {
			*field = jwtauth.Rule{Limit: r.Limit, Per: time.Duration(r.Seconds) * time.Second}
		}
	}
}
