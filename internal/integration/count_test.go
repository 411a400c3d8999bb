package integration_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// tally counts what an operation asks of a database: statements, with those that
// begin and end a transaction, and round trips on the wire.
type tally struct {
	statements, trips atomic.Int64
	texts             sync.Map // of the statements
}

// counted connects to a database and counts.
func counted(t testing.TB, d integration.Database) (*sql.DB, *tally) {
	t.Helper()
	n := new(tally)
	c, err := connector(d, n)
	must(t, err)
	db := sql.OpenDB(integration.Wrap(c, n.count))
	db.SetMaxOpenConns(1) // so that everything is prepared once
	t.Cleanup(func() { db.Close() })
	return db, n
}

// count leaves out what the driver wants to be asked in another way.
func (n *tally) count(text string, run func() error) error {
	err := run()
	if !errors.Is(err, driver.ErrSkip) {
		n.statements.Add(1)
		n.texts.Store(text, true)
	}
	return err
}

func connector(d integration.Database, n *tally) (driver.Connector, error) {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &countingWire{Conn: c, n: n}, err
	}
	switch d.Flavour {
	case sqlstore.Postgres:
		cfg, err := pgx.ParseConfig(d.DSN)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = dial
		return stdlib.GetConnector(*cfg), nil
	case sqlstore.MySQL:
		cfg, err := mysql.ParseDSN(d.DSN)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = dial
		return mysql.NewConnector(cfg)
	}
	return d.Connector()
}

// countingWire counts each time that something is read after something was sent.
type countingWire struct {
	net.Conn
	n    *tally
	sent bool
}

func (w *countingWire) Write(b []byte) (int, error) {
	w.sent = true
	return w.Conn.Write(b)
}

func (w *countingWire) Read(b []byte) (int, error) {
	if w.sent {
		w.sent = false
		w.n.trips.Add(1)
	}
	return w.Conn.Read(b)
}
