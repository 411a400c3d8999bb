package integration_test

import (
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/integration"
)

// The clock of a server on this machine is that of the machine.
func TestServerTimeIsThatOfTheServer(t *testing.T) {
	for name, empty := range map[string]func(testing.TB) integration.Database{
		"SQLite": integration.SQLite, "PostgreSQL": integration.Postgres, "MariaDB": integration.MySQL,
	} {
		t.Run(name, func(t *testing.T) {
			s := empty(t).Store(t)
			before := time.Now().Add(-time.Second)
			got, err := s.ServerTime(t.Context())
			if err != nil || got.Before(before) || got.After(time.Now().Add(time.Second)) {
				t.Errorf("ServerTime %v, %v; here it is %v", got, err, time.Now())
			}
		})
	}
}
