package integration_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/internal/integration/fault"
)

// behindProxy is a database whose network may fail.
func behindProxy(t *testing.T, d integration.Database) (integration.Database, *fault.Proxy) {
	t.Helper()
	cfg, err := pgx.ParseConfig(d.DSN)
	must(t, err)
	addr := net.JoinHostPort(cfg.Host, "5432")
	u, err := url.Parse(d.DSN)
	must(t, err)
	if u.Port() != "" {
		addr = u.Host
	}
	p, err := fault.NewProxy(addr)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	u.Host = p.Addr()
	d.DSN = u.String()
	return d, p
}

// TestServerThatDoesNotAnswerEndsInAFault also shows that the store is well again
// once the server is, without a restart.
func TestServerThatDoesNotAnswerEndsInAFault(t *testing.T) {
	d, network := behindProxy(t, integration.Postgres(t))
	s := d.Store(t)
	must(t, s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", Expires: time.Now().Add(time.Hour)}))
	network.Freeze()
	answer := make(chan error, 1)
	go func() {
		_, err := s.UserByID(context.Background(), "1")
		answer <- err
	}()
	select {
	case err := <-answer:
		var known *jwtauth.Error
		if err == nil || errors.As(err, &known) {
			t.Errorf("a look-up without an answer: %v, want a fault", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a look-up without an answer goes on, far beyond the limit of 10 s")
	}
	network.Thaw()
	wellAgain(t, s)
}

func TestConnectionsThatAreCutAreReplaced(t *testing.T) {
	d, network := behindProxy(t, integration.Postgres(t))
	s := d.Store(t)
	must(t, s.Revoke(t.Context(), jwtauth.Revocation{TokenID: "t", Expires: time.Now().Add(time.Hour)}))
	network.Cut()
	wellAgain(t, s)
}

// wellAgain wants the right answer within a minute. Until then there may be
// faults, and no wrong one.
func wellAgain(t *testing.T, s jwtauth.RevocationStore) {
	t.Helper()
	for start := time.Now(); ; {
		revoked, err := s.Revoked(t.Context(), jwtauth.TokenRef{TokenID: "t", Now: time.Now()})
		if err == nil {
			if !revoked {
				t.Error("a revoked token is not revoked any more")
			}
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("still not well: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestFullDiskIsAFaultAndLosesNothing limits the size of a SQLite file.
func TestFullDiskIsAFaultAndLosesNothing(t *testing.T) {
	d := integration.SQLite(t)
	d.Store(t)
	full := d
	full.DSN += "&_pragma=max_page_count(90)"
	s := full.Store(t)
	var kept []string
	var fault error
	for i := 0; fault == nil && i < 10_000; i++ {
		u, err := s.CreateUser(t.Context(), jwtauth.User{LoginKey: "user" + strings.Repeat("x", i%200) + time.Now().String(), DisplayName: strings.Repeat("y", 2000)})
		if err == nil {
			kept = append(kept, u.ID)
		}
		fault = err
	}
	var known *jwtauth.Error
	if fault == nil || errors.As(fault, &known) || len(kept) == 0 {
		t.Fatalf("after %d accounts: %v, want a fault", len(kept), fault)
	}
	for _, s := range []jwtauth.UserStore{s, d.Store(t)} {
		for _, id := range kept {
			if _, err := s.UserByID(t.Context(), id); err != nil {
				t.Fatalf("account %s: %v", id, err)
			}
		}
	}
	if _, err := d.Store(t).CreateUser(t.Context(), jwtauth.User{LoginKey: "more"}); err != nil {
		t.Errorf("CreateUser with room again: %v", err)
	}
}
