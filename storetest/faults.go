package storetest

import (
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// RunFaults checks that a store which can't do its work says so: once it is
// broken, every verb returns an error that is none of the sentinels but, at
// most, [jwtauth.ErrUnavailable]. open returns an empty store and a func that
// breaks it, for example by closing its database or its network. The store may
// be any one of the interfaces, or a whole [jwtauth.Store].
//
// It takes a func of its own, since not every store can be broken on purpose.
func RunFaults[S any](t *testing.T, open func(t *testing.T) (store S, breakIt func())) {
	t.Helper()
	runAll(t, "faults", func(t *testing.T) breakable {
		s, breakIt := open(t)
		return breakable{s, breakIt}
	}, faultChecks())
}

// breakable is a store that works until breakIt is called.
type breakable struct {
	store   any
	breakIt func()
}

const whyFaults = "a fault is an error that means nothing else, and never a nil one. Whoever is told \"not found\" goes on: " +
	"a revoked token is accepted, a limit starts anew, a name is free, a used code looks unknown."

func faultChecks() []check[breakable] {
	return []check[breakable]{
		{"broken account store says so", whyFaults, faultsOf(func(t testing.TB, s jwtauth.UserStore) []call {
			_, calls := userCalls(t, s)
			return calls
		})},
		{"broken session store says so", whyFaults, faultsOf(func(t testing.TB, s jwtauth.SessionStore) []call {
			_, _, calls := sessionCalls(t, s)
			return calls
		})},
		{"broken revocation store says so", whyFaults, faultsOf(func(t testing.TB, s jwtauth.RevocationStore) []call {
			return revocationCalls(s)
		})},
		{"broken code store says so", whyFaults, faultsOf(codeCalls)},
		{"broken counter store says so", whyFaults, faultsOf(counterCalls)},
		{"broken audit store says so", whyFaults, faultsOf(func(t testing.TB, s jwtauth.AuditStore) []call {
			return auditCalls(s)
		})},
		{"broken cursor store says so", whyFaults, faultsOf(cursorCalls)},
	}
}

// faultsOf prepares calls that would succeed, breaks the store and makes them.
// It skips a store that does not have the part.
func faultsOf[S any](prepare func(t testing.TB, s S) []call) func(t testing.TB, b breakable) {
	return func(t testing.TB, b breakable) {
		s, ok := b.store.(S)
		if !ok {
			t.Skip("the store does not have this part")
		}
		calls := prepare(t, s)
		b.breakIt()
		refuseAll(t, t.Context(), calls)
	}
}
