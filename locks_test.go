package jwtauth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// miss tries wrong passwords.
func miss(t testing.TB, a *jwtauth.Auth, name string, times int) {
	t.Helper()
	for range times {
		if _, err := a.Login(bg, jwtauth.Credentials{Login: name, Password: "wrong"}); jwtauth.Code(err) != "invalid_credentials" {
			t.Fatalf("a wrong password: %v", err)
		}
	}
}

// locked lists who is locked.
func locked(t testing.TB, a *jwtauth.Auth) (users []string) {
	t.Helper()
	list, _, err := a.Locks(bg, jwtauth.LockQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		users = append(users, l.UserID)
	}
	return users
}

func twoTiers(cfg *jwtauth.Config) {
	cfg.Lockout.Account = []jwtauth.LockoutTier{{Failures: 3, Per: time.Minute}, {Failures: 5, Per: time.Hour}}
}

// lockSources are where locks are found: in the memory of an Auth, beside a trail
// that keeps few records, and in the trail itself.
var lockSources = map[string]func(*jwtauth.Config){
	"in memory": twoTiers,
	"in the trail": func(cfg *jwtauth.Config) {
		twoTiers(cfg)
		cfg.Audit.Store = struct{ jwtauth.AuditStore }{cfg.Store}
	},
}

func TestLocksAreListedWhileTheyLast(t *testing.T) {
	for name, change := range lockSources {
		t.Run(name, func(t *testing.T) { listsLocks(t, change) })
	}
}

func listsLocks(t *testing.T, change func(*jwtauth.Config)) {
	a, c := newAuth(t, change)
	alice, bob := register(t, a, "alice").User.ID, register(t, a, "bob").User.ID
	want := func(when string, users ...string) {
		t.Helper()
		if got := locked(t, a); fmt.Sprint(got) != fmt.Sprint(users) {
			t.Errorf("%s: locked are %v, want %v", when, got, users)
		}
	}
	miss(t, a, "alice", 2)
	want("before the limit")
	miss(t, a, "alice", 1)
	want("at the limit", alice)
	c.Add(10 * time.Second)
	miss(t, a, "bob", 3)
	want("with another one", bob, alice)
	miss(t, a, "nobody", 4)
	want("with a name that nobody has", bob, alice)

	lock, is, err := a.LockOf(bg, alice)
	if err != nil || !is || lock.Failures != 3 || lock.Per != time.Minute || !lock.Until.Equal(epoch.Add(time.Minute)) {
		t.Errorf("the lock is %+v, %v, %v", lock, is, err)
	}
	if err := a.Unlock(bg, bob); err != nil {
		t.Fatal(err)
	}
	want("after an unlock", alice)
	c.Add(51 * time.Second)
	want("after its end")

	miss(t, a, "alice", 2)
	want("in the second tier", alice)
	if lock, _, _ := a.LockOf(bg, alice); lock.Failures != 5 || !lock.Until.Equal(epoch.Add(time.Hour)) {
		t.Errorf("the lock is %+v", lock)
	}
	if err := a.DeleteUser(bg, alice); err != nil {
		t.Fatal(err)
	}
	want("after the account was deleted")
}

func TestLooksAtALockCountNothing(t *testing.T) {
	a, _ := newAuth(t, twoTiers)
	alice := register(t, a, "alice").User.ID
	for range 10 {
		if _, is, err := a.LockOf(bg, alice); is || err != nil {
			t.Fatalf("locked without a wrong password: %v", err)
		}
	}
	login(t, a, "alice")
}

// The try that would lock an account is no lock if it is right.
func TestRightPasswordAtTheLimitIsNoLock(t *testing.T) {
	a, _ := newAuth(t, twoTiers)
	register(t, a, "alice")
	miss(t, a, "alice", 2)
	login(t, a, "alice")
	if got := locked(t, a); got != nil {
		t.Errorf("locked are %v", got)
	}
	if list, err := a.Events(bg, jwtauth.EventFilter{Name: jwtauth.EventLock}); err != nil || len(list) > 0 {
		t.Errorf("recorded %v, %v", list, err)
	}
}

// A name that nobody has leaves as many records as one that exists.
func TestLockOfNobodyLeavesTheSameRecords(t *testing.T) {
	count := func(name string) (names []string) {
		a, _ := newAuth(t, twoTiers)
		register(t, a, "alice")
		miss(t, a, name, 4)
		list := must(a.Events(bg, jwtauth.EventFilter{Limit: 100}))(t)
		for _, e := range list {
			names = append(names, e.Name+" "+e.Reason)
		}
		return names
	}
	if known, unknown := count("alice"), count("nobody"); fmt.Sprint(known) != fmt.Sprint(unknown) {
		t.Errorf("%v, and for a name that nobody has %v", known, unknown)
	}
}

func TestLocksArePaged(t *testing.T) {
	for name, change := range lockSources {
		t.Run(name, func(t *testing.T) { pagesLocks(t, change) })
	}
}

func pagesLocks(t *testing.T, change func(*jwtauth.Config)) {
	a, _ := newAuth(t, change)
	want := map[string]bool{}
	for i := range 7 {
		name := fmt.Sprintf("user%d", i)
		want[register(t, a, name).User.ID] = true
		miss(t, a, name, 3)
	}
	before, pages := "", 0
	for {
		list, next, err := a.Locks(bg, jwtauth.LockQuery{Before: before, Limit: 3})
		if err != nil || len(list) > 3 {
			t.Fatalf("%d locks, %v", len(list), err)
		}
		for _, l := range list {
			delete(want, l.UserID)
		}
		pages++
		if before = next; next == "" {
			break
		}
	}
	if len(want) > 0 || pages != 3 {
		t.Errorf("%d pages, not listed: %v", pages, want)
	}
	if _, _, err := a.Locks(bg, jwtauth.LockQuery{Before: "nowhere"}); jwtauth.Code(err) != "rest_invalid_param" {
		t.Errorf("a page after nothing: %v", err)
	}
	if _, _, err := a.Locks(bg, jwtauth.LockQuery{Limit: 201}); jwtauth.Code(err) != "rest_invalid_param" {
		t.Errorf("a page of 201: %v", err)
	}
}

// shortTrail keeps three records.
type shortTrail struct{ *jwtauth.MemoryStore }

func (shortTrail) AuditLimit() int { return 3 }

// A trail in memory drops records while locks last, under attack most of all.
func TestLocksOutliveAShortTrail(t *testing.T) {
	a, c := newAuth(t, func(cfg *jwtauth.Config) {
		twoTiers(cfg)
		cfg.Store = shortTrail{jwtauth.NewMemoryStore()}
	})
	alice, bob := register(t, a, "alice").User.ID, register(t, a, "bob").User.ID
	miss(t, a, "alice", 3)
	c.Add(time.Second)
	miss(t, a, "bob", 3)
	for range 10 {
		must(a.Issue(bg, alice))(t)
	}
	must(a.Follow(bg, 0, 1))(t) // seals, and purges
	if list := must(a.Events(bg, jwtauth.EventFilter{}))(t); len(list) > 3 {
		t.Fatalf("the trail keeps %d records", len(list))
	}
	if got := locked(t, a); fmt.Sprint(got) != fmt.Sprint([]string{bob, alice}) {
		t.Errorf("locked are %v", got)
	}
	if err := a.Unlock(bg, bob); err != nil {
		t.Fatal(err)
	}
	if got := locked(t, a); fmt.Sprint(got) != fmt.Sprint([]string{alice}) {
		t.Errorf("locked are %v", got)
	}
	c.Add(time.Minute)
	if got := locked(t, a); got != nil {
		t.Errorf("locked are %v", got)
	}
}
