package redisstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
)

// Feed returns the feed of what is revoked in this store, for
// [jwtauth.RevocationViewConfig]. The script that stores a revocation publishes
// it as well, on the channel PREFIX + "revoked": it is told by whoever revokes,
// with a view or without, and never without being stored.
//
// Redis delivers a message at most once, so a connection that breaks loses what
// is sent meanwhile; Follow then ends, and begins anew with a gap. A connection
// that is silently dead is noticed within four seconds. In a Cluster, messages
// travel from node to node: while those are separated from each other, a message
// can be lost unnoticed, and the staleness of the view is what holds.
func (s *Store) Feed() jwtauth.RevocationFeed { return feed{s} }

type feed struct{ store *Store }

// beat is how long a silent connection is trusted before it is asked for a sign
// of life, and how long that may take.
const beat = 2 * time.Second

var errDead = errors.New("redisstore: the connection of the feed is dead")

// Publish implements [jwtauth.RevocationFeed]: [Store.Revoke] has done it.
func (feed) Publish(context.Context, jwtauth.Revocation) error { return nil }

// Follow implements [jwtauth.RevocationFeed].
func (f feed) Follow(ctx context.Context, live func(), heard func(jwtauth.Revocation)) error {
	sub := f.store.client.Subscribe(ctx, f.store.channel())
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // or a read would go on
	asked := false
	for {
		message, err := sub.ReceiveTimeout(ctx, beat)
		var timeout net.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			asked = false
		case !errors.As(err, &timeout) || !timeout.Timeout():
			return fault("Follow", err)
		case asked:
			return errDead
		default:
			if err := sub.Ping(ctx); err != nil {
				return fault("Follow", err)
			}
			asked = true
			continue
		}
		if err := deliver(message, live, heard); err != nil {
			return err
		}
	}
}

// deliver passes one message on. A confirmation of the subscription, the first
// one or that of a connection that the client has made anew, comes after any
// gap.
func deliver(message any, live func(), heard func(jwtauth.Revocation)) error {
	switch m := message.(type) {
	case *redis.Subscription:
		live()
	case *redis.Message:
		r, err := decodeNotice(m.Payload)
		if err != nil {
			return fault("Follow", err)
		}
		heard(r)
	}
	return nil
}
