package fault_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration/fault"
)

// at is an entry that took place within one second.
func at(second int, e fault.Entry) fault.Entry {
	e.Start, e.End = time.Duration(second)*time.Second, time.Duration(second+1)*time.Second-1
	if e.User == "" {
		e.User = "u"
	}
	return e
}

// healthy is a state in which everything that the entries below did is there.
func healthy() fault.Final {
	ok := func(event, token string) jwtauth.Event {
		return jwtauth.Event{Name: event, Result: jwtauth.ResultOK, UserID: "1", TokenID: token}
	}
	return fault.Final{
		Accounts: map[string]fault.Presence{"u": {ByName: true, ByEmail: true, ID: "1", Sessions: 2}},
		Trail: []jwtauth.Event{ok(jwtauth.EventRegister, "t0"), ok(jwtauth.EventLogin, "t1"), ok(jwtauth.EventRefresh, "t2"),
			ok(jwtauth.EventRevoke, "t1"), ok(jwtauth.EventRevoke, "t1"), ok(jwtauth.EventReset, "")},
	}
}

func TestChecker(t *testing.T) {
	register := fault.Entry{Op: fault.Register, Status: 200, Session: "s0", TokenID: "t0"}
	login := fault.Entry{Op: fault.Login, Status: 200, Session: "s1", TokenID: "t1"}
	refresh := fault.Entry{Op: fault.Refresh, Status: 200, Session: "s1", TokenID: "t2", Secret: "r1"}
	validate := fault.Entry{Op: fault.Validate, Status: 200, Session: "s1", TokenID: "t1"}
	revoke := fault.Entry{Op: fault.Revoke, Status: 200, Session: "s1", TokenID: "t1"}
	reset := fault.Entry{Op: fault.Reset, Status: 200, Secret: "c1"}
	status := func(e fault.Entry, status int) fault.Entry { e.Status = status; return e }
	for _, c := range []struct {
		name    string
		entries []fault.Entry
		change  func(*fault.Final)
		want    string
	}{
		{"everything in order", []fault.Entry{at(0, register), at(1, login), at(2, validate), at(3, refresh), at(4, revoke),
			at(5, status(validate, 401)), at(6, reset)}, nil, ""},
		{"refresh that nobody answered, and again", []fault.Entry{at(1, status(refresh, 0)), at(2, refresh)}, nil, ""},
		{"refresh token used twice", []fault.Entry{at(1, refresh), at(2, refresh)}, nil, fault.OneSuccessor},
		{"secret used twice", []fault.Entry{at(1, reset), at(1, reset)}, nil, fault.OneTimeIsOnce},
		{"use beside a revocation", []fault.Entry{at(4, revoke), at(4, validate)}, nil, ""},
		{"use after a revocation that nobody answered", []fault.Entry{at(4, status(revoke, 0)), at(5, validate)}, nil, ""},
		{"use after a revocation", []fault.Entry{at(4, revoke), at(5, validate)}, nil, fault.RevokedIsOver},
		{"use after the first of two revocations", []fault.Entry{at(4, revoke), at(5, validate), at(6, revoke)}, nil, fault.RevokedIsOver},
		{"refresh after a revocation", []fault.Entry{at(4, revoke), at(5, refresh)}, nil, fault.RevokedIsOver},
		{"session from before a reset", []fault.Entry{at(1, login), at(2, reset), at(3, validate)}, nil, fault.OldSessionsEnd},
		{"session from after a reset", []fault.Entry{at(1, reset), at(2, login), at(3, validate)}, nil, ""},
		{"account lost", []fault.Entry{at(0, register)}, func(f *fault.Final) { f.Accounts["u"] = fault.Presence{ID: "1"} }, fault.NothingLost},
		{"account that nobody confirmed absent", []fault.Entry{at(0, status(register, 0))}, func(f *fault.Final) { f.Accounts["u"] = fault.Presence{} }, ""},
		{"account half there", []fault.Entry{at(0, status(register, 0))}, func(f *fault.Final) { f.Accounts["u"] = fault.Presence{ByName: true, ID: "1"} }, fault.NothingLost},
		{"too many sessions listed", []fault.Entry{at(1, fault.Entry{Op: fault.List, Status: 200, Session: "s", Count: 4})}, nil, fault.LimitHolds},
		{"too many sessions at the end", nil, func(f *fault.Final) {
			f.Accounts["u"] = fault.Presence{ByName: true, ByEmail: true, ID: "1", Sessions: 4}
		}, fault.LimitHolds},
		{"no record", []fault.Entry{at(1, login)}, func(f *fault.Final) { f.Trail = nil }, fault.EveryRecord},
		{"record of a refusal alone", []fault.Entry{at(1, login)}, func(f *fault.Final) { f.Trail[1].Result = jwtauth.ResultRefused }, fault.EveryRecord},
		{"two records", []fault.Entry{at(1, login)}, func(f *fault.Final) { f.Trail = append(f.Trail, f.Trail[1]) }, fault.EveryRecord},
		{"action that nobody confirmed without a record", []fault.Entry{at(1, status(login, 503))}, func(f *fault.Final) { f.Trail = nil }, ""},
		{"trail broken", nil, func(f *fault.Final) { f.Chain = errors.New("broken") }, fault.ChainHolds},
	} {
		t.Run(c.name, func(t *testing.T) {
			final := healthy()
			if c.change != nil {
				c.change(&final)
			}
			found := fault.Check(c.entries, final, 3)
			if len(found) == 0 && c.want != "" || len(found) > 0 && found[0].Invariant != c.want {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}
