// Package storetest checks that a store keeps the promises of package jwtauth:
// every one that the security of accounts depends on, alone and under many
// callers at once. A store that passes can be put into jwtauth.Config.
//
// This is all that the test of a store needs:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) jwtauth.Store {
//			return mystore.New(emptyDatabase(t))
//		})
//	}
//
//	func TestStoreFaults(t *testing.T) {
//		storetest.RunFaults(t, func(t *testing.T) (jwtauth.Store, func()) {
//			db := emptyDatabase(t)
//			return mystore.New(db), func() { db.Close() }
//		})
//	}
//
// A host that keeps its own accounts and nothing else uses [RunUsers], and so
// on for each part. Run both with the race detector.
//
// # What a store may rely on
//
// Each case opens a fresh, empty store. Its times start at the current time,
// in whole seconds, so that a store may hand expiry to its server (a Redis key
// with a time to live); what is to be in the past or the future is given as an
// argument. A store must therefore judge by its arguments, never by its own
// clock. No case sleeps, and none depends on an order that the contract does
// not name. Times come with microseconds at most.
//
// # What a failure says
//
// The name of a case is the outcome that was missed. Its failure shows what was
// observed, the rule, and what goes wrong in practice where the rule is broken.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Run checks a whole store. open returns an empty one for each case; what has
// to be closed afterwards belongs into t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) jwtauth.Store) {
	t.Helper()
	RunUsers(t, func(t *testing.T) jwtauth.UserStore { return open(t) })
	RunSessions(t, func(t *testing.T) jwtauth.SessionStore { return open(t) })
	RunRevocations(t, func(t *testing.T) jwtauth.RevocationStore { return open(t) })
	RunCodes(t, func(t *testing.T) jwtauth.CodeStore { return open(t) })
	RunCounters(t, func(t *testing.T) jwtauth.CounterStore { return open(t) })
	RunAudit(t, func(t *testing.T) jwtauth.AuditStore { return open(t) })
	RunCursors(t, func(t *testing.T) jwtauth.CursorStore { return open(t) })
}

// RunUsers checks a [jwtauth.UserStore], and whether it lists accounts in pages
// if it is a [jwtauth.UserLister].
func RunUsers(t *testing.T, open func(t *testing.T) jwtauth.UserStore) {
	t.Helper()
	runAll(t, "users", open, userChecks())
}

// RunSessions checks a [jwtauth.SessionStore], and whether it lists the sessions
// of all users in pages if it is a [jwtauth.SessionLister].
func RunSessions(t *testing.T, open func(t *testing.T) jwtauth.SessionStore) {
	t.Helper()
	runAll(t, "sessions", open, sessionChecks())
}

// RunRevocations checks a [jwtauth.RevocationStore].
func RunRevocations(t *testing.T, open func(t *testing.T) jwtauth.RevocationStore) {
	t.Helper()
	runAll(t, "revocations", open, revocationChecks())
}

// RunCodes checks a [jwtauth.CodeStore].
func RunCodes(t *testing.T, open func(t *testing.T) jwtauth.CodeStore) {
	t.Helper()
	runAll(t, "codes", open, codeChecks())
}

// RunCounters checks a [jwtauth.CounterStore].
func RunCounters(t *testing.T, open func(t *testing.T) jwtauth.CounterStore) {
	t.Helper()
	runAll(t, "counters", open, counterChecks())
}

// RunAudit checks a [jwtauth.AuditStore].
func RunAudit(t *testing.T, open func(t *testing.T) jwtauth.AuditStore) {
	t.Helper()
	runAll(t, "audit", open, auditChecks())
}

// RunCursors checks a [jwtauth.CursorStore].
func RunCursors(t *testing.T, open func(t *testing.T) jwtauth.CursorStore) {
	t.Helper()
	runAll(t, "cursors", open, cursorChecks())
}

// check is one case. Its name is the outcome; why is the rule, followed by what
// goes wrong without it.
type check[S any] struct {
	name, why string
	run       func(t testing.TB, s S)
}

func runAll[S any](t *testing.T, group string, open func(t *testing.T) S, checks []check[S]) {
	t.Run(group, func(t *testing.T) {
		for _, c := range checks {
			t.Run(c.name, func(t *testing.T) { c.on(t, open(t)) })
		}
	})
}

// on runs the case, and explains it if it failed.
func (c check[S]) on(t testing.TB, s S) {
	defer func() {
		if t.Failed() {
			t.Logf("the rule: %s", c.why)
		}
	}()
	c.run(t, s)
}

// moment is the time at which a case takes place.
func moment() time.Time { return time.Now().UTC().Truncate(time.Second) }

// instant is the smallest step of time that a store has to tell apart.
const instant = time.Microsecond

const (
	racers = 32 // goroutines that want the same thing
	rounds = 4  // with something new in each
)

// together calls f with 0 to n-1 at the same time and waits for all of them.
// f reports into what it closes over, at its own index.
func together(n int, f func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

// tally counts what concurrent callers got: nil, sentinels by code, and faults,
// which none of them should see.
type tally struct {
	won    int
	lost   map[string]int
	faults []error
}

func tallyOf(errs []error) tally {
	c := tally{lost: make(map[string]int)}
	for _, err := range errs {
		var known *jwtauth.Error
		switch {
		case err == nil:
			c.won++
		case errors.As(err, &known):
			c.lost[known.Code]++
		default:
			c.faults = append(c.faults, err)
		}
	}
	return c
}

// wantTally fails unless exactly won callers succeeded and all others got one
// of the sentinels.
func wantTally(t testing.TB, what string, errs []error, won int, losers ...*jwtauth.Error) {
	t.Helper()
	c := tallyOf(errs)
	if len(c.faults) > 0 {
		t.Errorf("%s: %d of %d concurrent calls failed with a fault, the first with: %v", what, len(c.faults), len(errs), c.faults[0])
	}
	if c.won != won {
		t.Errorf("%s: %d of %d concurrent calls succeeded, want exactly %d", what, c.won, len(errs), won)
	}
	for _, sentinel := range losers {
		delete(c.lost, sentinel.Code)
	}
	if len(c.lost) > 0 {
		t.Errorf("%s: losers got %v, want only %v", what, c.lost, losers)
	}
}

// wantErr fails unless err is the sentinel.
func wantErr(t testing.TB, what string, err error, sentinel *jwtauth.Error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("%s: error is %s, want %q", what, describe(err), sentinel.Code)
	}
}

// wantNil stops the case on any error.
func wantNil(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: unexpected error: %v", what, err)
	}
}

// wantFault fails unless err is a fault: an error, and none that means
// something else. granted says whether the call gave something away with it.
func wantFault(t testing.TB, what string, granted bool, err error) {
	t.Helper()
	var known *jwtauth.Error
	switch {
	case err == nil:
		t.Errorf("%s: no error", what)
	case errors.As(err, &known) && !errors.Is(err, jwtauth.ErrUnavailable):
		t.Errorf("%s: error is %q, which means something else than a fault", what, known.Code)
	}
	if granted {
		t.Errorf("%s: says yes, beside the error %v", what, err)
	}
}

func describe(err error) string {
	if err == nil {
		return "nil"
	}
	return fmt.Sprintf("%q", err)
}

// wantSame fails unless two structs agree in every field: times as moments, and
// absent slices and maps like empty ones.
func wantSame[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if d := differences(got, want); d != "" {
		t.Errorf("%s: not what was stored:\n%s", what, d)
	}
}

func differences(got, want any) string {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	var lines []string
	for i := range g.NumField() {
		if !sameField(g.Field(i), w.Field(i)) {
			lines = append(lines, fmt.Sprintf("\t%s is %#v, want %#v", g.Type().Field(i).Name, g.Field(i), w.Field(i)))
		}
	}
	return strings.Join(lines, "\n")
}

func sameField(g, w reflect.Value) bool {
	if at, ok := g.Interface().(time.Time); ok {
		return at.Equal(w.Interface().(time.Time))
	}
	if k := g.Kind(); (k == reflect.Slice || k == reflect.Map) && g.Len() == 0 && w.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(g.Interface(), w.Interface())
}

// call is one use of a verb that would succeed. It is made with a cancelled
// context, or after the store was broken.
type call struct {
	verb string
	// do reports whether it gave something away: a claim, a move, an account.
	do func(ctx context.Context) (granted bool, err error)
}

// refuseAll makes the calls and fails unless each is a fault.
func refuseAll(t testing.TB, ctx context.Context, calls []call) {
	t.Helper()
	for _, c := range calls {
		granted, err := c.do(ctx)
		wantFault(t, c.verb, granted, err)
	}
}

// cancelled is a context that nobody waits for any more.
func cancelled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

const whyCancelled = "a call whose context is cancelled beforehand returns an error and does nothing. " +
	"Otherwise a request that was given up, and is retried, takes effect twice or by halves."

// lookalikes are pairs of keys that some database, with some collation or
// conversion, takes for one. They are all different.
var lookalikes = []struct{ what, a, b string }{
	{"case", "alice", "Alice"},
	{"a trailing space", "carol", "carol "},
	{"a leading space", "dave", " dave"},
	{"an accent", "erin", "érin"},
	{"a ligature", "strasse", "straße"},
	{"Unicode composition", "zo\u00eb", "zoe\u0308"},
	{"the Turkish i", "frodil", "frodıl"},
	{"full width", "gina", "\uff47ina"},
	{"an invisible character", "heidi", "hei\u200bdi"},
	{"an emoji", "ivan😀", "ivan😁"},
	{"the wildcard _", "judy_", "judyx"},
	{"the wildcard %", "k%", "karl"},
	{"the wildcard *", "l*", "lara"},
	{"a backslash", `mal\ory`, `mal\\ory`},
	{"a quote", "o'neil", "o''neil"},
	{"SQL", "x'; DROP TABLE users; --", "x"},
	{"a leading zero", "7", "07"},
	{"number format", "100", "1e2"},
	{"a separator", "a:b", "a::b"},
	{"a line end", "peggy", "peggy\n"},
}
