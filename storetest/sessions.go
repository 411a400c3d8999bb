package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func sessionChecks() []check[jwtauth.SessionStore] {
	return []check[jwtauth.SessionStore]{
		{"session reads back whole", "every field that was stored comes back as it was, times to the microsecond.", sessionReadsBack},
		{"unknown session not found", "absence is ErrNotFound, for every verb. " +
			"A zero session would be one without owner that never was ended.", unknownSession},
		{"taken session id refused", "CreateSession never replaces a session. " +
			"Replacing one gives its refresh token to another user.", takenSessionID},
		{"similar ids are different sessions", "ids are compared byte by byte; base64url tells upper from lower case. " +
			"Folding them lets one user's refresh move or end another's session.", similarSessionIDs},
		{"refresh moves one generation on", "AdvanceSession changes Generation, Moved and SecretID, nothing else, and returns what it stored.", advanceMoves},
		{"refresh from another generation refused", "only the current generation advances. " +
			"Otherwise a stolen, used refresh token works again and reuse is never noticed.", advanceComparesGeneration},
		{"refresh of an expired session refused", "a session whose Expires is not after Now is over, at exactly that time too. " +
			"Otherwise a login lasts for ever.", advanceExpired},
		{"refresh of an idle session refused", "Moved must be after MovedAfter. " +
			"Otherwise a forgotten device stays logged in.", advanceIdle},
		{"login over the limit refused", "with a limit, the sessions after a login are at most Max, and a refused one stores nothing.", limitRefuses},
		{"login over the limit ends the oldest login", "EvictOldest ends the oldest logins, by Created, until Max is met, and returns them whole. " +
			"What is not returned keeps its access tokens; ending the newest logs out the person who just logged in.", limitEvicts},
		{"lowered limit ends as many as needed", "EvictOldest ends several sessions if the limit was lowered meanwhile.", limitLowered},
		{"expired session takes no place", "sessions not live at s.Created are neither counted nor evicted. " +
			"Otherwise old devices lock the user out.", expiredNotCounted},
		{"ended session takes no place", "a session that was ended is not counted.", endedNotCounted},
		{"limit is for each user", "sessions of others do not count. " +
			"Otherwise anybody locks out everybody by logging in.", limitPerUser},
		{"no limit admits any number", "Max 0 means no limit.", noLimit},
		{"ended session is gone", "EndSession removes exactly that session; a second time it is ErrNotFound.", endSession},
		{"ending all sessions spares the one named", "EndSessions removes all of the user but except, and returns exactly the ids removed. " +
			"Ending except logs out whoever changed the password; sparing others keeps the thief logged in.", endSessionsExcept},
		{"ending all sessions of nobody is no error", "EndSessions of a user without sessions succeeds and returns none.", endSessionsOfNobody},
		{"list shows live sessions, latest login first", "Sessions lists those of the user that have not expired at now, by Created. None is no error.", sessionsListed},
		{"pages show every session that is asked for", "a SessionLister counts and returns the sessions that match, the latest login first, page by page. " +
			"What is missing there an administrator can't end.", sessionsInPages},
		{"changes to results stay outside", "values are copied out.", sessionsIsolated},
		{"cancelled context changes nothing", whyCancelled, sessionsCancelled},
		{"context cancelled midway leaves all or nothing", "a verb whose context ends while it runs has done all of its work or none. " +
			"Half of it: a generation without its secret id, or some devices logged out and others not.", sessionsCancelledMidway},
		{"one of many refreshes of a generation wins", "AdvanceSession compares and swaps atomically. " +
			"With two winners a thief and the owner both go on, and reuse is never noticed.", oneRefreshWins},
		{"device limit holds under concurrent logins", "CreateSession counts and stores atomically. " +
			"Otherwise logins at the same moment exceed the limit.", limitConcurrent},
		{"device limit holds while logins evict", "with EvictOldest every login succeeds, and at no time there are more sessions than Max. " +
			"Each session that ended was returned to exactly one caller, or its tokens live on.", evictionConcurrent},
		{"ended session stays ended", "a refresh that runs while the session is ended never brings it back. " +
			"Otherwise the thief's refresh survives the owner's log-out.", endBeatsAdvance},
		{"ended once among concurrent callers", "of concurrent EndSession calls one removes it, and the others get ErrNotFound.", endOnce},
	}
}

// session returns a live one of the user, made at created.
func session(id, userID string, created time.Time) jwtauth.Session {
	return jwtauth.Session{
		ID: id, UserID: userID, CredentialVersion: 1, Generation: 1, SecretID: "s1",
		Created: created, Moved: created, Expires: created.Add(24 * time.Hour),
	}
}

func fullSession() jwtauth.Session {
	at := moment().Add(123456 * time.Microsecond)
	return jwtauth.Session{
		ID: "Ab3-_9zQ0mXo1Pq2Rs3TuA", UserID: "42", CredentialVersion: 7, Generation: 1, SecretID: "k-2",
		Created: at, Moved: at.Add(instant), Expires: at.Add(30*24*time.Hour + 2*instant),
		Address: "2001:db8:85a3::8a2e:370:7334", UserAgent: "Zoë's 🦊/1.0 (\"quoted\"; \\ %s) ", DeviceID: "tablet 'kitchen'",
	}
}

func createSession(t testing.TB, s jwtauth.SessionStore, row jwtauth.Session) jwtauth.Session {
	t.Helper()
	evicted, err := s.CreateSession(t.Context(), row, jwtauth.SessionLimit{})
	wantNil(t, "CreateSession", err)
	if len(evicted) > 0 {
		t.Fatalf("CreateSession without a limit evicted %d sessions", len(evicted))
	}
	return row
}

// wantSession fails unless the session is stored as want.
func wantSession(t testing.TB, s jwtauth.SessionStore, want jwtauth.Session) {
	t.Helper()
	got, err := s.Session(t.Context(), want.ID)
	if err != nil {
		t.Errorf("Session(%q): unexpected error: %v", want.ID, err)
		return
	}
	wantSame(t, "Session", got, want)
}

func wantNoSession(t testing.TB, s jwtauth.SessionStore, id string) {
	t.Helper()
	_, err := s.Session(t.Context(), id)
	wantErr(t, fmt.Sprintf("Session(%q)", id), err, jwtauth.ErrNotFound)
}

// wantList fails unless these are the user's live sessions, latest login first.
func wantList(t testing.TB, s jwtauth.SessionStore, userID string, now time.Time, ids ...string) {
	t.Helper()
	list, err := s.Sessions(t.Context(), userID, now)
	wantNil(t, "Sessions", err)
	if got := sessionIDs(list); !slices.Equal(got, ids) {
		t.Errorf("Sessions of user %q: %q, want %q", userID, got, ids)
	}
}

func sessionIDs(list []jwtauth.Session) []string {
	var ids []string
	for _, row := range list {
		ids = append(ids, row.ID)
	}
	return ids
}

func sessionReadsBack(t testing.TB, s jwtauth.SessionStore) {
	want := createSession(t, s, fullSession())
	wantSession(t, s, want)
	list, err := s.Sessions(t.Context(), want.UserID, want.Created)
	wantNil(t, "Sessions", err)
	if len(list) != 1 {
		t.Fatalf("Sessions: %d, want 1", len(list))
	}
	wantSame(t, "Sessions", list[0], want)
	bare := createSession(t, s, session("bare", "43", moment()))
	wantSession(t, s, bare)
}

func unknownSession(t testing.TB, s jwtauth.SessionStore) {
	createSession(t, s, session("a", "1", moment()))
	for _, id := range []string{"b", "", "%"} {
		wantNoSession(t, s, id)
		_, moved, err := s.AdvanceSession(t.Context(), jwtauth.SessionAdvance{SessionID: id, From: 1, Now: moment()})
		wantErr(t, "AdvanceSession of an unknown session", err, jwtauth.ErrNotFound)
		if moved {
			t.Error("AdvanceSession of an unknown session: moved is true")
		}
		wantErr(t, "EndSession of an unknown session", s.EndSession(t.Context(), id), jwtauth.ErrNotFound)
	}
	wantList(t, s, "1", moment(), "a")
}

func takenSessionID(t testing.TB, s jwtauth.SessionStore) {
	first := createSession(t, s, session("a", "1", moment()))
	if _, err := s.CreateSession(t.Context(), session("a", "2", moment()), jwtauth.SessionLimit{}); err == nil {
		t.Error("CreateSession with the id of another session: no error")
	}
	wantSession(t, s, first)
	wantList(t, s, "2", moment())
}

func similarSessionIDs(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	pairs := [][2]string{{"abcdefghijklmnopqrstuv", "ABCDEFGHIJKLMNOPQRSTUV"}, {"a-b", "a_b"}, {"0123", "123"}, {"1e2", "100"}}
	for _, pair := range pairs {
		a := createSession(t, s, session(pair[0], "1", at))
		wantNoSession(t, s, pair[1])
		b := createSession(t, s, session(pair[1], "2", at))
		moved := advance(t, s, jwtauth.SessionAdvance{SessionID: b.ID, From: 1, Now: at, SecretID: "s2"}, true)
		wantSession(t, s, a)
		wantSession(t, s, moved)
		wantNil(t, "EndSession", s.EndSession(t.Context(), b.ID))
		wantSession(t, s, a)
	}
}

// advance fails unless the session moves, or stays, as it is expected to.
func advance(t testing.TB, s jwtauth.SessionStore, adv jwtauth.SessionAdvance, move bool) jwtauth.Session {
	t.Helper()
	got, moved, err := s.AdvanceSession(t.Context(), adv)
	wantNil(t, "AdvanceSession", err)
	if moved != move {
		t.Errorf("AdvanceSession: moved is %t, want %t", moved, move)
	}
	return got
}

func advanceMoves(t testing.TB, s jwtauth.SessionStore) {
	want := createSession(t, s, fullSession())
	other := createSession(t, s, session("other", want.UserID, want.Created))
	for i := range 3 {
		want.Generation++
		want.Moved = want.Moved.Add(time.Minute + instant)
		want.SecretID = fmt.Sprintf("k-%d", i+3)
		got := advance(t, s, jwtauth.SessionAdvance{SessionID: want.ID, From: want.Generation - 1, Now: want.Moved, SecretID: want.SecretID}, true)
		wantSame(t, "result of AdvanceSession", got, want)
		wantSession(t, s, want)
	}
	wantSession(t, s, other)
}

func advanceComparesGeneration(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	createSession(t, s, session("a", "1", at))
	adv := jwtauth.SessionAdvance{SessionID: "a", From: 1, Now: at.Add(time.Second), SecretID: "s2"}
	advance(t, s, adv, true)
	adv.From, adv.Now = 2, at.Add(2*time.Second)
	want := advance(t, s, adv, true)
	for _, from := range []int64{1, 2, 4, 0, -1, 1 << 62} {
		got := advance(t, s, jwtauth.SessionAdvance{SessionID: "a", From: from, Now: at.Add(time.Minute), SecretID: "s9"}, false)
		wantSame(t, "result of AdvanceSession that is refused", got, want)
	}
	wantSession(t, s, want)
}

func advanceExpired(t testing.TB, s jwtauth.SessionStore) {
	want := createSession(t, s, session("a", "1", moment()))
	for _, late := range []time.Duration{0, instant, 365 * 24 * time.Hour} {
		adv := jwtauth.SessionAdvance{SessionID: "a", From: 1, Now: want.Expires.Add(late), SecretID: "s2"}
		// An expired session may be gone already.
		got, moved, err := s.AdvanceSession(t.Context(), adv)
		if moved {
			t.Errorf("AdvanceSession moved a session %v after it expired", late)
		}
		if err == nil {
			wantSame(t, "result of AdvanceSession that is refused", got, want)
		} else if !errors.Is(err, jwtauth.ErrNotFound) {
			t.Errorf("AdvanceSession of an expired session: unexpected error: %v", err)
		}
	}
	createSession(t, s, session("b", "1", want.Created))
	advance(t, s, jwtauth.SessionAdvance{SessionID: "b", From: 1, Now: want.Expires.Add(-instant), SecretID: "s2"}, true)
}

func advanceIdle(t testing.TB, s jwtauth.SessionStore) {
	want := createSession(t, s, session("a", "1", moment()))
	adv := jwtauth.SessionAdvance{SessionID: "a", From: 1, Now: want.Moved.Add(time.Hour), SecretID: "s2"}
	for _, idle := range []time.Duration{0, instant, time.Minute} {
		adv.MovedAfter = want.Moved.Add(idle)
		got := advance(t, s, adv, false)
		wantSame(t, "result of AdvanceSession that is refused", got, want)
	}
	wantSession(t, s, want)
	adv.MovedAfter = want.Moved.Add(-instant)
	advance(t, s, adv, true)
	// Idle time counts from the last refresh and not from the login.
	adv = jwtauth.SessionAdvance{SessionID: "a", From: 2, Now: adv.Now.Add(time.Hour), MovedAfter: adv.Now.Add(-instant)}
	advance(t, s, adv, true)
}

// login makes a session under a limit and returns the ids that it evicted.
func login(t testing.TB, s jwtauth.SessionStore, row jwtauth.Session, limit jwtauth.SessionLimit) []jwtauth.Session {
	t.Helper()
	evicted, err := s.CreateSession(t.Context(), row, limit)
	wantNil(t, fmt.Sprintf("CreateSession(%q)", row.ID), err)
	return evicted
}

func limitRefuses(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	limit := jwtauth.SessionLimit{Max: 2}
	login(t, s, session("a", "1", at), limit)
	login(t, s, session("b", "1", at.Add(time.Second)), limit)
	for range 2 {
		evicted, err := s.CreateSession(t.Context(), session("c", "1", at.Add(2*time.Second)), limit)
		wantErr(t, "CreateSession over the limit", err, jwtauth.ErrTooManySessions)
		if len(evicted) > 0 {
			t.Error("CreateSession that was refused evicted sessions")
		}
		wantNoSession(t, s, "c")
	}
	wantList(t, s, "1", at, "b", "a")
}

func limitEvicts(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	limit := jwtauth.SessionLimit{Max: 3, EvictOldest: true}
	minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	// Neither the order of writing, nor of ids, nor of refreshes is the order
	// of logins.
	login(t, s, session("m", "1", minute(2)), limit)
	oldest := session("z", "1", minute(1))
	login(t, s, oldest, limit)
	login(t, s, session("a", "1", minute(3)), limit)
	oldest = advance(t, s, jwtauth.SessionAdvance{SessionID: "z", From: 1, Now: minute(4), SecretID: "s2"}, true)
	evicted := login(t, s, session("k", "1", minute(5)), limit)
	if len(evicted) != 1 {
		t.Fatalf("CreateSession evicted %q, want the oldest login", sessionIDs(evicted))
	}
	wantSame(t, "evicted session", evicted[0], oldest)
	wantNoSession(t, s, "z")
	wantList(t, s, "1", minute(5), "k", "a", "m")
}

func limitLowered(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i := range 6 {
		createSession(t, s, session(fmt.Sprint(i), "1", at.Add(time.Duration(i)*time.Minute)))
	}
	_, err := s.CreateSession(t.Context(), session("new", "1", at.Add(time.Hour)), jwtauth.SessionLimit{Max: 2})
	wantErr(t, "CreateSession over a lowered limit", err, jwtauth.ErrTooManySessions)
	evicted := login(t, s, session("new", "1", at.Add(time.Hour)), jwtauth.SessionLimit{Max: 2, EvictOldest: true})
	got := sessionIDs(evicted)
	slices.Sort(got)
	if want := []string{"0", "1", "2", "3", "4"}; !slices.Equal(got, want) {
		t.Errorf("CreateSession evicted %q, want %q", got, want)
	}
	wantList(t, s, "1", at.Add(time.Hour), "new", "5")
	evicted = login(t, s, session("only", "1", at.Add(2*time.Hour)), jwtauth.SessionLimit{Max: 1, EvictOldest: true})
	if len(evicted) != 2 {
		t.Errorf("CreateSession with Max 1 evicted %q, want the two there were", sessionIDs(evicted))
	}
	wantList(t, s, "1", at.Add(2*time.Hour), "only")
}

func expiredNotCounted(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i := range 3 {
		row := session(fmt.Sprintf("old%d", i), "1", at)
		row.Expires = at.Add(time.Hour - time.Duration(i)*time.Minute)
		createSession(t, s, row)
	}
	// The first expires at the moment of the login: that is expired.
	now := at.Add(time.Hour)
	login(t, s, session("a", "1", now), jwtauth.SessionLimit{Max: 1})
	evicted := login(t, s, session("b", "1", now.Add(time.Minute)), jwtauth.SessionLimit{Max: 1, EvictOldest: true})
	if got := sessionIDs(evicted); !slices.Equal(got, []string{"a"}) {
		t.Errorf("CreateSession evicted %q, want the one live session \"a\"", got)
	}
	row := session("brief", "2", at)
	row.Expires = now.Add(instant)
	createSession(t, s, row)
	_, err := s.CreateSession(t.Context(), session("c", "2", now), jwtauth.SessionLimit{Max: 1})
	wantErr(t, "CreateSession an instant before the other expires", err, jwtauth.ErrTooManySessions)
}

func endedNotCounted(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	limit := jwtauth.SessionLimit{Max: 1}
	login(t, s, session("a", "1", at), limit)
	wantNil(t, "EndSession", s.EndSession(t.Context(), "a"))
	login(t, s, session("b", "1", at), limit)
	_, err := s.EndSessions(t.Context(), "1", "")
	wantNil(t, "EndSessions", err)
	login(t, s, session("c", "1", at), limit)
	wantList(t, s, "1", at, "c")
}

func limitPerUser(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i, user := range []string{"1", "10", "01", "11", "2"} {
		evicted := login(t, s, session(fmt.Sprint(i), user, at), jwtauth.SessionLimit{Max: 1, EvictOldest: i%2 == 1})
		if len(evicted) > 0 {
			t.Errorf("login of user %q ended a session of user %q", user, evicted[0].UserID)
		}
		wantList(t, s, user, at, fmt.Sprint(i))
	}
}

func noLimit(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i := range 20 {
		limit := jwtauth.SessionLimit{EvictOldest: i%2 == 1}
		if evicted := login(t, s, session(fmt.Sprint(i), "1", at), limit); len(evicted) > 0 {
			t.Fatalf("CreateSession with Max 0 evicted %q", sessionIDs(evicted))
		}
	}
	list, err := s.Sessions(t.Context(), "1", at)
	if err != nil || len(list) != 20 {
		t.Errorf("Sessions: %d, error %v; want 20", len(list), err)
	}
}

func endSession(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	a, b := createSession(t, s, session("a", "1", at)), createSession(t, s, session("b", "1", at))
	wantNil(t, "EndSession", s.EndSession(t.Context(), a.ID))
	wantNoSession(t, s, a.ID)
	wantErr(t, "EndSession again", s.EndSession(t.Context(), a.ID), jwtauth.ErrNotFound)
	_, moved, err := s.AdvanceSession(t.Context(), jwtauth.SessionAdvance{SessionID: a.ID, From: 1, Now: at})
	wantErr(t, "AdvanceSession of an ended session", err, jwtauth.ErrNotFound)
	if moved {
		t.Error("AdvanceSession moved an ended session")
	}
	wantSession(t, s, b)
	wantList(t, s, "1", at, "b")
}

func endSessionsExcept(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i, id := range []string{"a", "b", "c", "d"} {
		createSession(t, s, session(id, "1", at.Add(time.Duration(i)*time.Second)))
	}
	other := createSession(t, s, session("x", "2", at))
	end := func(except string, want ...string) {
		t.Helper()
		ended, err := s.EndSessions(t.Context(), "1", except)
		wantNil(t, "EndSessions", err)
		slices.Sort(ended)
		if !slices.Equal(ended, want) {
			t.Errorf("EndSessions except %q ended %q, want %q", except, ended, want)
		}
		for _, id := range want {
			wantNoSession(t, s, id)
		}
	}
	end("c", "a", "b", "d")
	wantList(t, s, "1", at, "c")
	createSession(t, s, session("e", "1", at))
	end("x", "c", "e") // a session of somebody else protects none
	createSession(t, s, session("f", "1", at))
	end("", "f")
	wantList(t, s, "1", at)
	wantSession(t, s, other)
}

func endSessionsOfNobody(t testing.TB, s jwtauth.SessionStore) {
	other := createSession(t, s, session("x", "2", moment()))
	for _, user := range []string{"1", "", "%"} {
		ended, err := s.EndSessions(t.Context(), user, "")
		if err != nil || len(ended) > 0 {
			t.Errorf("EndSessions of user %q: ended %q, error %v; want none", user, ended, err)
		}
	}
	wantSession(t, s, other)
}

func sessionsListed(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for i, minute := range []int{3, 1, 4, 2} {
		row := session(fmt.Sprintf("s%d", minute), "1", at.Add(time.Duration(minute)*time.Minute))
		row.Expires = at.Add(time.Duration(i+1) * time.Hour) // s3, s1, s4, s2 expire in this order
		createSession(t, s, row)
	}
	createSession(t, s, session("other", "2", at))
	wantList(t, s, "1", at, "s4", "s3", "s2", "s1")
	wantList(t, s, "1", at.Add(2*time.Hour-instant), "s4", "s2", "s1")
	wantList(t, s, "1", at.Add(2*time.Hour), "s4", "s2")
	wantList(t, s, "1", at.Add(4*time.Hour))
	wantList(t, s, "3", at)
}

func sessionsInPages(t testing.TB, s jwtauth.SessionStore) {
	lister, ok := s.(jwtauth.SessionLister)
	if !ok {
		t.Skip("the store is no jwtauth.SessionLister")
	}
	at := moment()
	var all []jwtauth.Session // the latest login first
	for i := range 25 {
		row := session(fmt.Sprintf("s%02d", i), fmt.Sprint(i%3), at.Add(-time.Duration(i/2)*time.Minute)) // two share a moment
		row.Expires = at.Add(time.Duration(25-i) * time.Hour)
		all = append(all, row)
	}
	for i := range all { // not stored in the order of the list
		createSession(t, s, all[(i*7)%len(all)])
	}
	for name, q := range map[string]jwtauth.SessionQuery{
		"all":                           {},
		"of one user":                   {UserID: "1"},
		"of nobody":                     {UserID: "9"},
		"from a login on":               {CreatedFrom: all[10].Created},
		"before a login":                {CreatedBefore: all[10].Created},
		"live at the end of one":        {ExpiresAfter: all[10].Expires},
		"over at the end of one":        {ExpiresUntil: all[10].Expires},
		"of one user, between two ends": {UserID: "2", ExpiresAfter: all[20].Expires, ExpiresUntil: all[3].Expires},
	} {
		var want []string
		for _, row := range all {
			if q.Matches(row) {
				want = append(want, row.ID)
			}
		}
		wantPages(t, lister, name, q, want)
	}
}

func wantPages(t testing.TB, s jwtauth.SessionLister, name string, q jwtauth.SessionQuery, want []string) {
	t.Helper()
	var seen []string
	for q.Limit = 4; q.Offset <= len(want); q.Offset += q.Limit {
		page, total, err := s.ListSessions(t.Context(), q)
		wantNil(t, "ListSessions", err)
		if total != len(want) || len(page) > q.Limit {
			t.Fatalf("%s: a page of %d sessions, %d in all; want at most %d of %d", name, len(page), total, q.Limit, len(want))
		}
		for _, row := range page {
			seen = append(seen, row.ID)
		}
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%s: pages show %v, want %v", name, seen, want)
	}
	q.Offset, q.Limit = 0, 0
	if page, total, err := s.ListSessions(t.Context(), q); err != nil || len(page) != len(want) || total != len(want) {
		t.Errorf("%s, without a limit: %d of %d sessions, error %v; want %d", name, len(page), total, err, len(want))
	}
}

func sessionsIsolated(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	want := createSession(t, s, session("a", "1", at))
	list, err := s.Sessions(t.Context(), "1", at)
	wantNil(t, "Sessions", err)
	for i := range list {
		list[i].UserID, list[i].Generation = "2", 99
	}
	wantSession(t, s, want)
	wantList(t, s, "1", at, "a")
	wantList(t, s, "2", at)
}

// sessionCalls are uses of every verb on sessions that exist.
func sessionCalls(t testing.TB, s jwtauth.SessionStore) (a, b jwtauth.Session, calls []call) {
	at := moment()
	a = createSession(t, s, session("a", "1", at))
	b = createSession(t, s, session("b", "1", at.Add(time.Second)))
	calls = []call{
		{"CreateSession", func(ctx context.Context) (bool, error) {
			evicted, err := s.CreateSession(ctx, session("c", "1", at), jwtauth.SessionLimit{Max: 2, EvictOldest: true})
			return len(evicted) > 0, err
		}},
		{"Session", func(ctx context.Context) (bool, error) {
			got, err := s.Session(ctx, "a")
			return got.ID != "", err
		}},
		{"AdvanceSession", func(ctx context.Context) (bool, error) {
			_, moved, err := s.AdvanceSession(ctx, jwtauth.SessionAdvance{SessionID: "a", From: 1, Now: at, SecretID: "s2"})
			return moved, err
		}},
		{"EndSession", func(ctx context.Context) (bool, error) { return false, s.EndSession(ctx, "a") }},
		{"EndSessions", func(ctx context.Context) (bool, error) {
			ended, err := s.EndSessions(ctx, "1", "")
			return len(ended) > 0, err
		}},
		{"Sessions", func(ctx context.Context) (bool, error) {
			list, err := s.Sessions(ctx, "1", at)
			return len(list) > 0, err
		}},
	}
	if lister, ok := s.(jwtauth.SessionLister); ok {
		calls = append(calls, call{"ListSessions", func(ctx context.Context) (bool, error) {
			page, _, err := lister.ListSessions(ctx, jwtauth.SessionQuery{})
			return len(page) > 0, err
		}})
	}
	return a, b, calls
}

func sessionsCancelled(t testing.TB, s jwtauth.SessionStore) {
	a, b, calls := sessionCalls(t, s)
	refuseAll(t, cancelled(t), calls)
	wantSession(t, s, a)
	wantSession(t, s, b)
	wantNoSession(t, s, "c")
}

// sessionsCancelledMidway does not know where in the verb the context ends, and
// whatever the verb then returned: the state must be one of two.
func sessionsCancelledMidway(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	devices := func(user string) (first jwtauth.Session) {
		for i := range 4 {
			row := createSession(t, s, session(fmt.Sprintf("%s-%d", user, i), user, at.Add(time.Duration(i)*time.Second)))
			if i == 0 {
				first = row
			}
		}
		return first
	}
	devices("pilot") // shows how long the store takes
	start := time.Now()
	_, err := s.EndSessions(t.Context(), "pilot", "")
	wantNil(t, "EndSessions", err)
	whole := time.Since(start)
	const steps = 24
	for i := range steps {
		user, after := fmt.Sprint(i), whole*time.Duration(i)/steps
		before := devices(user)
		midway(t, after, func(ctx context.Context) {
			adv := jwtauth.SessionAdvance{SessionID: before.ID, From: 1, Now: at.Add(time.Minute), SecretID: "s2"}
			_, _, _ = s.AdvanceSession(ctx, adv)
		})
		wantEither(t, s, before)
		midway(t, after, func(ctx context.Context) { _, _ = s.EndSessions(ctx, user, "") })
		list, err := s.Sessions(t.Context(), user, at)
		wantNil(t, "Sessions", err)
		if len(list) != 0 && len(list) != 4 {
			t.Errorf("EndSessions with a context that was cancelled ended %d of 4 sessions", 4-len(list))
		}
	}
}

// wantEither fails unless the session is as before or moved on as a whole.
func wantEither(t testing.TB, s jwtauth.SessionStore, before jwtauth.Session) {
	t.Helper()
	after := before
	after.Generation, after.Moved, after.SecretID = 2, before.Created.Add(time.Minute), "s2"
	got, err := s.Session(t.Context(), before.ID)
	wantNil(t, "Session", err)
	if differences(got, before) != "" {
		wantSame(t, "Session after an AdvanceSession that was cancelled", got, after)
	}
}

// midway calls f and cancels its context after that long.
func midway(t testing.TB, after time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	together(2, func(i int) {
		if i == 0 {
			f(ctx)
			return
		}
		for start := time.Now(); time.Since(start) < after; {
			runtime.Gosched() // a timer would be too coarse
		}
		cancel()
	})
}

func oneRefreshWins(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	createSession(t, s, session("a", "1", at))
	for round := range rounds {
		from, now := int64(round+1), at.Add(time.Duration(round+1)*time.Second)
		moved, errs := make([]bool, racers), make([]error, racers)
		seen := make([]jwtauth.Session, racers)
		together(racers, func(i int) {
			adv := jwtauth.SessionAdvance{SessionID: "a", From: from, Now: now, SecretID: fmt.Sprint(i)}
			seen[i], moved[i], errs[i] = s.AdvanceSession(t.Context(), adv)
		})
		wantTally(t, "AdvanceSession", errs, racers)
		if n := count(moved); n != 1 {
			t.Fatalf("%d of %d concurrent AdvanceSession from generation %d moved it, want exactly 1", n, racers, from)
		}
		winner := seen[slices.Index(moved, true)]
		if winner.Generation != from+1 {
			t.Errorf("AdvanceSession moved from generation %d to %d", from, winner.Generation)
		}
		for _, row := range seen {
			wantSame(t, "what each caller got", row, winner)
		}
		wantSession(t, s, winner)
	}
}

func count(flags []bool) int {
	n := 0
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}

func limitConcurrent(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	const most = 3
	for round := range rounds {
		user := fmt.Sprint(round)
		errs := make([]error, racers)
		together(racers, func(i int) {
			row := session(fmt.Sprintf("%d-%d", round, i), user, at)
			_, errs[i] = s.CreateSession(t.Context(), row, jwtauth.SessionLimit{Max: most})
		})
		wantTally(t, "CreateSession with Max 3", errs, most, jwtauth.ErrTooManySessions)
		wantLive(t, s, user, at, most)
	}
}

// wantLive returns the ids of the user's sessions and fails unless there are n.
func wantLive(t testing.TB, s jwtauth.SessionStore, user string, now time.Time, n int) []string {
	t.Helper()
	list, err := s.Sessions(t.Context(), user, now)
	wantNil(t, "Sessions", err)
	if len(list) != n {
		t.Errorf("the user has %d sessions, want %d", len(list), n)
	}
	return sessionIDs(list)
}

func evictionConcurrent(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	const most = 3
	for round := range rounds {
		user := fmt.Sprint(round)
		evicted, errs, seen := make([][]jwtauth.Session, racers), make([]error, racers), make([]int, racers)
		together(racers, func(i int) {
			row := session(fmt.Sprintf("%d-%d", round, i), user, at.Add(time.Duration(i)*instant))
			evicted[i], errs[i] = s.CreateSession(t.Context(), row, jwtauth.SessionLimit{Max: most, EvictOldest: true})
			if list, err := s.Sessions(t.Context(), user, at); err == nil {
				seen[i] = len(list)
			}
		})
		wantTally(t, "CreateSession with EvictOldest", errs, racers)
		if n := slices.Max(seen); n > most {
			t.Errorf("at one time there were %d sessions, want at most %d", n, most)
		}
		all := wantLive(t, s, user, at, most)
		for _, list := range evicted {
			all = append(all, sessionIDs(list)...)
		}
		slices.Sort(all)
		if len(all) != racers || len(slices.Compact(all)) != racers {
			t.Errorf("%d logins: %d sessions live or were returned as evicted, want each once", racers, len(all))
		}
	}
}

func endBeatsAdvance(t testing.TB, s jwtauth.SessionStore) {
	at := moment()
	for round := range 4 * rounds {
		id := fmt.Sprint(round)
		createSession(t, s, session(id, "1", at))
		errs := make([]error, 8)
		together(len(errs), func(i int) {
			if i == 0 {
				errs[i] = s.EndSession(t.Context(), id)
				return
			}
			_, _, errs[i] = s.AdvanceSession(t.Context(), jwtauth.SessionAdvance{SessionID: id, From: 1, Now: at, SecretID: "s2"})
		})
		wantNil(t, "EndSession beside AdvanceSession", errs[0])
		for _, err := range errs[1:] {
			if err != nil && !errors.Is(err, jwtauth.ErrNotFound) {
				t.Errorf("AdvanceSession beside EndSession: unexpected error: %v", err)
			}
		}
		wantNoSession(t, s, id)
	}
}

func endOnce(t testing.TB, s jwtauth.SessionStore) {
	for round := range rounds {
		id := fmt.Sprint(round)
		createSession(t, s, session(id, "1", moment()))
		errs := make([]error, racers)
		together(racers, func(i int) { errs[i] = s.EndSession(t.Context(), id) })
		wantTally(t, "EndSession", errs, 1, jwtauth.ErrNotFound)
	}
}
