package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
)

// quiet is a trail that nobody seals: sealing happens behind the requests, and
// would be counted with whatever runs at that moment.
type quiet struct{ jwtauth.AuditStore }

func (quiet) AuditMarks(context.Context) (anchor, head jwtauth.AuditMark, err error) { return }
func (quiet) Unsealed(context.Context, int) ([]jwtauth.AuditRecord, error)           { return nil, nil }

// newAuth has the defaults, but for hashes that cost nothing and callers that may
// try often.
func newAuth(t testing.TB, store jwtauth.Store, change func(*jwtauth.Config)) *jwtauth.Auth {
	t.Helper()
	key, err := jwtauth.GenerateKey("ES256")
	must(t, err)
	keys, err := jwtauth.NewKeySet(key)
	must(t, err)
	secret := make([]byte, 32)
	rand.Read(secret)
	cfg := jwtauth.Config{Issuer: "https://auth.example.test", Keys: keys, Secret: secret, Store: store,
		Logger:    slog.New(slog.DiscardHandler),
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true},
		Audit:     jwtauth.AuditConfig{Store: quiet{store}, Retention: -1},
		// As many tiers as the default, for more tries.
		Lockout: jwtauth.LockoutConfig{Source: []jwtauth.LockoutTier{{Failures: 1_000_000, Per: 10 * time.Minute}, {Failures: 1_000_000, Per: 24 * time.Hour}}}}
	if change != nil {
		change(&cfg)
	}
	auth, err := jwtauth.New(cfg)
	must(t, err)
	return auth
}

const passphrase = "correct horse battery staple"

// operation is what a request asks of an Auth. prepare is what comes before it
// and is not counted.
type operation struct {
	name   string
	change func(*jwtauth.Config)
	// prepare returns the operation for an account that is there.
	prepare func(ctx context.Context, a *jwtauth.Auth, login string) (func() error, error)
}

func operations() []operation {
	login := func(ctx context.Context, a *jwtauth.Auth, login string) (func() error, error) {
		return func() error {
			_, err := a.Login(ctx, jwtauth.Credentials{Login: login, Password: passphrase})
			return err
		}, nil
	}
	return []operation{
		{"login", nil, login},
		{"login with a device limit", func(cfg *jwtauth.Config) {
			cfg.Sessions.MaxPerUser, cfg.Sessions.EvictOldest = 1, true
		}, login},
		{"login, wrong password", nil, func(ctx context.Context, a *jwtauth.Auth, login string) (func() error, error) {
			return func() error {
				_, err := a.Login(ctx, jwtauth.Credentials{Login: login, Password: "wrong"})
				if jwtauth.Code(err) != jwtauth.ErrInvalidCredentials.Code {
					return fmt.Errorf("answered %w", err)
				}
				return nil
			}, nil
		}},
		{"refresh", nil, withGrant(func(ctx context.Context, a *jwtauth.Auth, g *jwtauth.Grant) error {
			_, err := a.Refresh(ctx, g.RefreshToken)
			return err
		})},
		{"verify", nil, withGrant(func(ctx context.Context, a *jwtauth.Auth, g *jwtauth.Grant) error {
			_, err := a.Verify(ctx, g.AccessToken)
			return err
		})},
		{"revoke", nil, withGrant(func(ctx context.Context, a *jwtauth.Auth, g *jwtauth.Grant) error {
			return a.Revoke(ctx, g.AccessToken)
		})},
		{"list of sessions", nil, withGrant(func(ctx context.Context, a *jwtauth.Auth, g *jwtauth.Grant) error {
			_, err := a.Sessions(ctx, g.User.ID)
			return err
		})},
		{"register", nil, func(ctx context.Context, a *jwtauth.Auth, _ string) (func() error, error) {
			return func() error {
				name := "n" + strings.ToLower(rand.Text())
				_, err := a.Register(ctx, jwtauth.Registration{Username: name, Email: name + "@example.com", Password: passphrase})
				return err
			}, nil
		}},
	}
}

// withGrant logs in and uses the token once before.
func withGrant(use func(context.Context, *jwtauth.Auth, *jwtauth.Grant) error) func(context.Context, *jwtauth.Auth, string) (func() error, error) {
	return func(ctx context.Context, a *jwtauth.Auth, login string) (func() error, error) {
		g, err := a.Login(ctx, jwtauth.Credentials{Login: login, Password: passphrase})
		if err != nil {
			return nil, err
		}
		if _, err := a.Verify(ctx, g.AccessToken); err != nil {
			return nil, err
		}
		return func() error { return use(ctx, a, g) }, nil
	}
}

// caller is somebody at a documentation address (RFC 5737).
func caller(ctx context.Context) context.Context {
	return jwtauth.WithClient(ctx, jwtauth.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "test"})
}

// TestCostsAreAsDocumented counts what each operation asks of each database and
// compares it with the table in docs/operations.md.
func TestCostsAreAsDocumented(t *testing.T) {
	var table bytes.Buffer
	cells := make(map[string][]string)
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		db, n := counted(t, d)
		store := integration.Migrated(t, db, d.Flavour)
		for _, op := range operations() {
			cells[op.name] = append(cells[op.name], cost(t, op, newAuth(t, store, op.change), n))
		}
	})
	for _, op := range operations() {
		if len(cells[op.name]) < len(databases) {
			t.Skip("not all databases are there")
		}
		fmt.Fprintf(&table, "| %s | %s |\n", op.name, strings.Join(cells[op.name], " | "))
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	if !bytes.Contains(doc, table.Bytes()) {
		t.Errorf("docs/operations.md says something else than:\n%s", table.Bytes())
	}
}

// cost runs an operation a few times and counts the last one.
func cost(t *testing.T, op operation, a *jwtauth.Auth, n *tally) string {
	t.Helper()
	ctx := caller(t.Context())
	login := "u" + strings.ToLower(rand.Text())
	_, err := a.CreateUser(ctx, jwtauth.Registration{Username: login, Email: login + "@example.com", Password: passphrase})
	must(t, err)
	var statements, trips int64
	for range 3 { // by then everything is prepared
		run, err := op.prepare(ctx, a, login)
		must(t, err)
		statements, trips = n.statements.Load(), n.trips.Load()
		must(t, run())
		statements, trips = n.statements.Load()-statements, n.trips.Load()-trips
	}
	if trips == 0 {
		return fmt.Sprint(statements)
	}
	return fmt.Sprintf("%d / %d", statements, trips)
}
