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
	db := sql.OpenDB(countingConnector{c, n})
	db.SetMaxOpenConns(1) // so that everything is prepared once
	t.Cleanup(func() { db.Close() })
	return db, n
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
	db, err := sql.Open(d.Driver, d.DSN)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return fileConnector{db.Driver(), d.DSN}, nil
}

// fileConnector is for a driver that has none.
type fileConnector struct {
	driver driver.Driver
	dsn    string
}

func (c fileConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c fileConnector) Driver() driver.Driver                        { return c.driver }

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

type countingConnector struct {
	driver.Connector
	n *tally
}

func (c countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return countingConn{inner, c.n}, nil
}

// countingConn needs of a driver what all three have.
type countingConn struct {
	driver.Conn
	n *tally
}

func (c countingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.n.texts.Store(text, true)
	return countingStmt{s, c.n}, nil
}

func (c countingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	c.count(text, err)
	return r, err
}

func (c countingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
	c.count(text, err)
	return r, err
}

// count leaves out what the driver wants to be asked in another way.
func (c countingConn) count(text string, err error) {
	if !errors.Is(err, driver.ErrSkip) {
		c.n.statements.Add(1)
		c.n.texts.Store(text, true)
	}
}

func (c countingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.n.statements.Add(1)
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return countingTx{tx, c.n}, nil
}

func (c countingConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type countingTx struct {
	driver.Tx
	n *tally
}

func (tx countingTx) Commit() error {
	tx.n.statements.Add(1)
	return tx.Tx.Commit()
}

func (tx countingTx) Rollback() error {
	tx.n.statements.Add(1)
	return tx.Tx.Rollback()
}

type countingStmt struct {
	driver.Stmt
	n *tally
}

func (s countingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.n.statements.Add(1)
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.n.statements.Add(1)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (s countingStmt) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
