package redisstore_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
	"github.com/go-jwtauth/jwtauth/storetest"
)

func TestStore(t *testing.T) { conformance(t, connect(t, serverURL())) }

// conformance is the suite for the parts that are here.
func conformance(t *testing.T, client redis.UniversalClient) {
	storetest.RunSessions(t, func(t *testing.T) jwtauth.SessionStore { return open(t, client) })
	storetest.RunRevocations(t, func(t *testing.T) jwtauth.RevocationStore { return open(t, client) })
	storetest.RunCodes(t, func(t *testing.T) jwtauth.CodeStore { return open(t, client) })
	storetest.RunCounters(t, func(t *testing.T) jwtauth.CounterStore { return open(t, client) })
}

func TestStoreFaults(t *testing.T) {
	connect(t, serverURL()) // or skip
	storetest.RunFaults(t, func(t *testing.T) (*redisstore.Store, func()) {
		client := connect(t, serverURL())
		return open(t, client), func() { _ = client.Close() }
	})
}
