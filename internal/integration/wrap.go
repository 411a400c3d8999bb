package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// Around is called in place of each statement, those that begin and end a
// transaction included ("BEGIN", "COMMIT", "ROLLBACK"), with a func that runs it.
// What it returns is what the store gets.
type Around func(text string, run func() error) error

// Wrap puts around in between a store and its driver. It needs of a driver what
// the three have.
func Wrap(c driver.Connector, around Around) driver.Connector {
	return wrappedConnector{c, around}
}

// Connector returns the connector of a database, also of a driver that has none.
func (d Database) Connector() (driver.Connector, error) {
	db, err := sql.Open(d.Driver, d.DSN)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if c, ok := db.Driver().(driver.DriverContext); ok {
		return c.OpenConnector(d.DSN)
	}
	return fileConnector{db.Driver(), d.DSN}, nil
}

type fileConnector struct {
	driver driver.Driver
	dsn    string
}

func (c fileConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c fileConnector) Driver() driver.Driver                        { return c.driver }

type wrappedConnector struct {
	driver.Connector
	around Around
}

func (c wrappedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return wrappedConn{inner, c.around}, nil
}

type wrappedConn struct {
	driver.Conn
	around Around
}

func (c wrappedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return wrappedStmt{s, text, c.around}, nil
}

func (c wrappedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return exec(c.around, text, func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args) })
}

func (c wrappedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return query(c.around, text, func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args) })
}

func exec(around Around, text string, run func() (driver.Result, error)) (r driver.Result, err error) {
	err = around(text, func() (err error) {
		r, err = run()
		return err
	})
	return r, err
}

// query closes rows that the store does not get.
func query(around Around, text string, run func() (driver.Rows, error)) (rows driver.Rows, err error) {
	err = around(text, func() (err error) {
		rows, err = run()
		return err
	})
	if err != nil && rows != nil {
		rows.Close()
		rows = nil
	}
	return rows, err
}

func (c wrappedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var tx driver.Tx
	err := c.around("BEGIN", func() (err error) {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	if err != nil && tx != nil {
		tx.Rollback()
	}
	return wrappedTx{tx, c.around}, err
}

func (c wrappedConn) CheckNamedValue(v *driver.NamedValue) error { return checkValue(c.Conn, v) }

func checkValue(inner any, v *driver.NamedValue) error {
	if checker, ok := inner.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type wrappedTx struct {
	driver.Tx
	around Around
}

func (tx wrappedTx) Commit() error   { return tx.around("COMMIT", tx.Tx.Commit) }
func (tx wrappedTx) Rollback() error { return tx.around("ROLLBACK", tx.Tx.Rollback) }

type wrappedStmt struct {
	driver.Stmt
	text   string
	around Around
}

func (s wrappedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return exec(s.around, s.text, func() (driver.Result, error) { return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args) })
}

func (s wrappedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return query(s.around, s.text, func() (driver.Rows, error) { return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) })
}

func (s wrappedStmt) CheckNamedValue(v *driver.NamedValue) error { return checkValue(s.Stmt, v) }
