// Package pgfeed carries revocations between nodes that share a PostgreSQL, with
// LISTEN and NOTIFY, for a [jwtauth.RevocationView] in front of any store:
//
//	db, err := sql.Open("pgx", url) // the database of sqlstore, say
//	feed, err := pgfeed.New(db, pgfeed.Options{})
//	view, err := jwtauth.NewRevocationView(store, jwtauth.RevocationViewConfig{
//		Staleness: 30 * time.Second, Feed: feed})
//	go view.Run(ctx)
//
// It holds one connection of db for each view that runs, and sends one statement
// for each revocation, a refresh included. PostgreSQL delivers a message to
// every session that listens when it is sent, and to none that connects later:
// so a connection that breaks is a gap, after which the view asks again. The
// connection must reach the server itself: a pooler in between that lends it
// for one transaction at a time (PgBouncer's default advice) loses messages.
package pgfeed

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-jwtauth/jwtauth"
)

// Options are the settings of a [Feed].
type Options struct {
	// Channel is the name that is notified, the same on all nodes. Channels
	// belong to a database. Default "jwtauth_revoked", at most 63 bytes.
	Channel string
}

// Feed implements [jwtauth.RevocationFeed]. Make one with [New]; it is safe for
// concurrent use.
type Feed struct {
	db      *sql.DB
	channel string
}

var _ jwtauth.RevocationFeed = (*Feed)(nil)

const (
	// beat is how long a silent connection is trusted before it is asked for
	// a sign of life, and how long that may take.
	beat = 2 * time.Second
	// maxPayload is what PostgreSQL carries at most: less than 8,000 bytes.
	maxPayload = 7999
	maxChannel = 63
)

// New returns a feed over a database that was opened with the driver "pgx", and
// stays the caller's to close.
func New(db *sql.DB, opt Options) (*Feed, error) {
	if opt.Channel == "" {
		opt.Channel = "jwtauth_revoked"
	}
	var errs []error
	if db == nil {
		errs = append(errs, errors.New("pgfeed: no database"))
	} else if _, ok := db.Driver().(*stdlib.Driver); !ok {
		errs = append(errs, errors.New(`pgfeed: the database must be opened with the driver "pgx"`))
	}
	if len(opt.Channel) > maxChannel {
		errs = append(errs, errors.New("pgfeed: Options.Channel is longer than 63 bytes"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Feed{db, opt.Channel}, nil
}

// Publish implements [jwtauth.RevocationFeed].
func (f *Feed) Publish(ctx context.Context, r jwtauth.Revocation) error {
	payload, err := encode(r)
	if err != nil {
		return err
	}
	if _, err := f.db.ExecContext(ctx, "SELECT pg_notify($1, $2)", f.channel, payload); err != nil {
		return fmt.Errorf("pgfeed: %w", err)
	}
	return nil
}

// Follow implements [jwtauth.RevocationFeed]. A connection that is silently dead
// is noticed within four seconds.
func (f *Feed) Follow(ctx context.Context, live func(), heard func(jwtauth.Revocation)) error {
	conn, err := f.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("pgfeed: %w", err)
	}
	defer conn.Close()
	var reason error
	_ = conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			reason = errors.New("pgfeed: not a connection of pgx")
			return nil
		}
		reason = f.listen(ctx, c.Conn(), live, heard)
		return driver.ErrBadConn // it listens: nobody else may have it
	})
	return reason
}

func (f *Feed) listen(ctx context.Context, c *pgx.Conn, live func(), heard func(jwtauth.Revocation)) error {
	if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{f.channel}.Sanitize()); err != nil {
		return fmt.Errorf("pgfeed: %w", err)
	}
	live()
	for {
		payload, some, err := wait(ctx, c)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("pgfeed: %w", err)
		case !some:
			continue
		}
		r, err := decode(payload)
		if err != nil {
			return err
		}
		heard(r)
	}
}

// wait returns the next message, or none after a while, once the connection has
// shown that it lives.
func wait(ctx context.Context, c *pgx.Conn) (payload string, some bool, err error) {
	quiet, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	n, err := c.WaitForNotification(quiet)
	if err == nil {
		return n.Payload, true, nil
	}
	if quiet.Err() == nil || c.IsClosed() {
		return "", false, err
	}
	ping, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	return "", false, c.Ping(ping)
}

var errMessage = errors.New("pgfeed: a message is not in the expected form")

// message is whom a revocation is about.
type message struct {
	Token   string     `json:"t,omitempty"`
	Session string     `json:"s,omitempty"`
	User    string     `json:"u,omitempty"`
	From    *time.Time `json:"from,omitempty"`
}

func encode(r jwtauth.Revocation) (string, error) {
	m := message{Token: r.TokenID, Session: r.SessionID, User: r.UserID}
	if !r.From.IsZero() {
		from := r.From.UTC()
		m.From = &from
	}
	text, err := json.Marshal(m)
	if err == nil && len(text) > maxPayload {
		err = errors.New("pgfeed: the ids of a revocation are too long for a message")
	}
	return string(text), err
}

func decode(text string) (jwtauth.Revocation, error) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Token+m.Session+m.User == "" {
		return jwtauth.Revocation{}, errMessage
	}
	r := jwtauth.Revocation{TokenID: m.Token, SessionID: m.Session, UserID: m.User}
	if m.From != nil {
		r.From = *m.From
	}
	return r, nil
}
