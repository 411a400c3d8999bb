package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func revocationChecks() []check[jwtauth.RevocationStore] {
	return []check[jwtauth.RevocationStore]{
		{"unknown token not revoked", "what was never revoked is not, and that is no error. " +
			"Otherwise every token that was not seen before is refused.", nothingRevoked},
		{"revoked token refused, and no other", "a token id revokes exactly that token, compared byte by byte.", tokenRevoked},
		{"generations below the watermark refused", "a session's watermark refuses Generation g if it is above g, of that session alone. " +
			"Too few: a used access token lives on; too many: the tokens just issued are dead.", generationsRevoked},
		{"versions below the watermark refused", "a user's watermark refuses Version v if it is above v, of that user alone. " +
			"Otherwise tokens survive a password change, or nobody can log in after one.", versionsRevoked},
		{"highest watermarks refuse everything", "AllGenerations and AllVersions refuse whatever number a token carries.", everythingRevoked},
		{"watermark for the future waits", "From is when a session's watermark begins: at exactly that time it refuses, an instant before it does not. " +
			"Too early breaks requests in flight after each refresh; never lets the old tokens live.", watermarkWaits},
		{"watermark for the future defers no other", "entries of one session add up, in any order: the one for later never puts off what is refused now. " +
			"Otherwise a refresh in flight gives a thief's revoked tokens a grace period.", watermarksAddUp},
		{"lower watermark revives nothing", "a later Revocation with lower numbers changes nothing. " +
			"Otherwise a message that arrives late brings a stolen token back.", lowerChangesNothing},
		{"earlier end shortens nothing", "an entry lives until the last of the Expires given for it. " +
			"Otherwise a second log-out makes the token valid again before it expires.", shorterChangesNothing},
		{"revoked until it expires", "no entry is dropped before its Expires, whatever else is written or asked meanwhile. " +
			"A store that forgets early, or keeps only the newest, revives tokens under load.", keptUntilExpiry},
		{"entry without an end is kept or refused", "Revoke with a zero Expires stores it for good or is an error. " +
			"A store that takes it for long past has accepted a log-out that it then ignores.", endlessKept},
		{"all three parts of one revocation apply", "a Revocation may name a token, a session and a user.", threeParts},
		{"parts without an id apply to nothing", "numbers without an id, and tokens without a session or user, concern nobody. " +
			"Otherwise one log-out revokes every token that has no session.", emptyParts},
		{"ids of different kinds do not meet", "token, session and user ids are three name spaces.", kindsApart},
		{"revoking twice is no error", "Revoke is idempotent.", revokeTwice},
		{"cancelled context changes nothing", whyCancelled, revocationsCancelled},
		{"revocation is seen by every later check", "when Revoke returned, no later Revoked misses it. " +
			"Otherwise a token works for a while after log-out was confirmed.", revocationSeen},
		{"no concurrent revocation is lost", "watermarks that rise at the same time end at the highest, and never fall meanwhile. " +
			"Otherwise two log-outs at once leave one of the sessions alive.", noRevocationLost},
	}
}

func revoke(t testing.TB, s jwtauth.RevocationStore, r jwtauth.Revocation) {
	t.Helper()
	wantNil(t, "Revoke", s.Revoke(t.Context(), r))
}

func wantRevoked(t testing.TB, s jwtauth.RevocationStore, ref jwtauth.TokenRef, want bool) {
	t.Helper()
	got, err := s.Revoked(t.Context(), ref)
	wantNil(t, "Revoked", err)
	if got != want {
		t.Errorf("Revoked says %t, want %t, of token %q, session %q at generation %d, user %q at version %d",
			got, want, ref.TokenID, ref.SessionID, ref.Generation, ref.UserID, ref.Version)
	}
}

// tokenOf is a token of session "s" and user "u".
func tokenOf(generation, version int64, now time.Time) jwtauth.TokenRef {
	return jwtauth.TokenRef{TokenID: "t", SessionID: "s", Generation: generation, UserID: "u", Version: version, Now: now}
}

func nothingRevoked(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	wantRevoked(t, s, tokenOf(1, 1, at), false)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "t", Now: at}, false)
	wantRevoked(t, s, jwtauth.TokenRef{Now: at}, false)
}

func tokenRevoked(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{TokenID: "abc", Expires: at.Add(time.Hour)})
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "abc", Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "abc", SessionID: "s", Generation: 9, UserID: "u", Version: 9, Now: at}, true)
	for _, id := range []string{"ABC", "abc ", "ab", "abcd", "a%", ""} {
		wantRevoked(t, s, jwtauth.TokenRef{TokenID: id, Now: at}, false)
	}
}

func generationsRevoked(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 3, Expires: at.Add(time.Hour)})
	for generation := range int64(6) {
		wantRevoked(t, s, tokenOf(generation, 1, at), generation < 3)
	}
	for _, id := range []string{"S", "s ", "other", ""} {
		ref := tokenOf(1, 1, at)
		ref.SessionID = id
		wantRevoked(t, s, ref, false)
	}
}

func versionsRevoked(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{UserID: "u", Version: 3, Expires: at.Add(time.Hour)})
	for version := range int64(6) {
		wantRevoked(t, s, tokenOf(1, version, at), version < 3)
	}
	for _, id := range []string{"U", "u ", "other", ""} {
		ref := tokenOf(1, 1, at)
		ref.UserID = id
		wantRevoked(t, s, ref, false)
	}
}

func everythingRevoked(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: jwtauth.AllGenerations, Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{UserID: "v", Version: jwtauth.AllVersions, Expires: at.Add(time.Hour)})
	for _, n := range []int64{0, 1, 1 << 31, 1 << 53, 1<<63 - 2} {
		wantRevoked(t, s, tokenOf(n, 1, at), true)
		wantRevoked(t, s, jwtauth.TokenRef{UserID: "v", Version: n, Now: at}, true)
	}
}

func watermarkWaits(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	from := at.Add(30*time.Second + 123456*time.Microsecond) // a round number of nothing
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 2, From: from, Expires: at.Add(time.Hour)})
	wantRevoked(t, s, tokenOf(1, 1, at), false)
	wantRevoked(t, s, tokenOf(1, 1, from.Add(-instant)), false)
	wantRevoked(t, s, tokenOf(1, 1, from), true)
	wantRevoked(t, s, tokenOf(1, 1, from.Add(time.Minute)), true)
	wantRevoked(t, s, tokenOf(2, 1, from.Add(time.Minute)), false)
	// From is about the session and nothing else.
	revoke(t, s, jwtauth.Revocation{TokenID: "x", UserID: "y", Version: 2, From: from, Expires: at.Add(time.Hour)})
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "x", Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{UserID: "y", Version: 1, Now: at}, true)
}

func watermarksAddUp(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	later := func(seconds int) time.Time { return at.Add(time.Duration(seconds) * time.Second) }
	marks := []jwtauth.Revocation{
		{Generation: 2, From: at},
		{Generation: 3, From: later(30)},
		{Generation: 4, From: later(60)},
	}
	for i, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}} {
		id := fmt.Sprintf("s%d", i)
		for _, n := range order {
			r := marks[n]
			r.SessionID, r.Expires = id, at.Add(time.Hour)
			revoke(t, s, r)
		}
		for _, now := range []int{0, 29, 30, 59, 60, 90} {
			for generation := int64(1); generation <= 4; generation++ {
				want := generation < 2 || generation < 3 && now >= 30 || generation < 4 && now >= 60
				wantRevoked(t, s, jwtauth.TokenRef{SessionID: id, Generation: generation, Now: later(now)}, want)
			}
		}
	}
	// The session ends while its refreshes are in the grace window, and a
	// refresh that was on its way publishes its watermark afterwards.
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 2, From: later(30), Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: jwtauth.AllGenerations, Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 3, From: later(60), Expires: at.Add(time.Hour)})
	for _, generation := range []int64{1, 2, 3, 4} {
		wantRevoked(t, s, tokenOf(generation, 1, at), true)
	}
}

func lowerChangesNothing(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	for _, n := range []int64{5, 3, 0, 4, -1} {
		revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: n, Expires: at.Add(time.Hour)})
		revoke(t, s, jwtauth.Revocation{UserID: "v", Version: n, Expires: at.Add(time.Hour)})
		wantRevoked(t, s, tokenOf(4, 1, at), true)
		wantRevoked(t, s, tokenOf(5, 1, at), false)
		wantRevoked(t, s, jwtauth.TokenRef{UserID: "v", Version: 4, Now: at}, true)
		wantRevoked(t, s, jwtauth.TokenRef{UserID: "v", Version: 5, Now: at}, false)
	}
	// The same watermark for later is lower too.
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 5, From: at.Add(time.Minute), Expires: at.Add(time.Hour)})
	wantRevoked(t, s, tokenOf(4, 1, at), true)
	revoke(t, s, jwtauth.Revocation{SessionID: "s2", Generation: 5, From: at.Add(time.Minute), Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{SessionID: "s2", Generation: 5, Expires: at.Add(time.Hour)})
	wantRevoked(t, s, jwtauth.TokenRef{SessionID: "s2", Generation: 4, Now: at}, true)
}

func shorterChangesNothing(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	everything := jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2}
	for _, life := range []time.Duration{time.Hour, time.Minute, -time.Hour} {
		r := everything
		r.Expires = at.Add(life)
		revoke(t, s, r)
	}
	// A higher watermark takes the place of a lower one for as long as that
	// was to live.
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 3, Expires: at.Add(time.Minute)})
	revoke(t, s, jwtauth.Revocation{UserID: "u", Version: 3, Expires: at.Add(time.Minute)})
	now := at.Add(time.Hour - instant)
	stir(t, s, now)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "t", Now: now}, true)
	wantRevoked(t, s, jwtauth.TokenRef{SessionID: "s", Generation: 1, Now: now}, true)
	wantRevoked(t, s, jwtauth.TokenRef{UserID: "u", Version: 1, Now: now}, true)
}

// stir gives a store reason to drop what it takes for expired.
func stir(t testing.TB, s jwtauth.RevocationStore, now time.Time) {
	t.Helper()
	for i := range 8 {
		wantRevoked(t, s, jwtauth.TokenRef{TokenID: "none", Now: now}, false)
		id := fmt.Sprintf("stir%d", i)
		revoke(t, s, jwtauth.Revocation{TokenID: id, SessionID: id, Generation: 1, UserID: id, Version: 1, Expires: now.Add(time.Hour)})
	}
}

func keptUntilExpiry(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	const many = 200
	for i := range many {
		id := fmt.Sprint(i)
		r := jwtauth.Revocation{Expires: at.Add(time.Hour + time.Duration(i)*time.Second)}
		switch i % 3 {
		case 0:
			r.TokenID = id
		case 1:
			r.SessionID, r.Generation = id, 2
		case 2:
			r.UserID, r.Version = id, 2
		}
		revoke(t, s, r)
	}
	now := at.Add(time.Hour - instant)
	stir(t, s, now)
	for i := range many {
		id := fmt.Sprint(i)
		ref := []jwtauth.TokenRef{{TokenID: id}, {SessionID: id, Generation: 1}, {UserID: id, Version: 1}}[i%3]
		ref.Now = now
		wantRevoked(t, s, ref, true)
	}
}

func endlessKept(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	r := jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2}
	if err := s.Revoke(t.Context(), r); err != nil {
		return
	}
	stir(t, s, at)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "t", Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{SessionID: "s", Generation: 1, Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{UserID: "u", Version: 1, Now: at}, true)
}

func threeParts(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: at.Add(time.Hour)})
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "t", SessionID: "x", Generation: 9, UserID: "y", Version: 9, Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "z", SessionID: "s", Generation: 1, UserID: "y", Version: 9, Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "z", SessionID: "x", Generation: 9, UserID: "u", Version: 1, Now: at}, true)
	wantRevoked(t, s, jwtauth.TokenRef{TokenID: "z", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Now: at}, false)
}

func emptyParts(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{TokenID: "t", Generation: jwtauth.AllGenerations, Version: jwtauth.AllVersions, Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{SessionID: "s", Generation: 2, Version: jwtauth.AllVersions, Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{UserID: "u", Version: 2, Generation: jwtauth.AllGenerations, Expires: at.Add(time.Hour)})
	for _, ref := range []jwtauth.TokenRef{
		{},
		{TokenID: "other"},
		{TokenID: "other", UserID: "other"},
		{TokenID: "other", SessionID: "other"},
		{UserID: "u", Version: 2},
		{SessionID: "s", Generation: 2},
	} {
		ref.Now = at
		wantRevoked(t, s, ref, false)
	}
}

func kindsApart(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	revoke(t, s, jwtauth.Revocation{TokenID: "1", Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{SessionID: "2", Generation: 5, Expires: at.Add(time.Hour)})
	revoke(t, s, jwtauth.Revocation{UserID: "3", Version: 5, Expires: at.Add(time.Hour)})
	for _, ref := range []jwtauth.TokenRef{
		{TokenID: "2", SessionID: "1", Generation: 1, UserID: "1", Version: 1},
		{TokenID: "3", SessionID: "3", Generation: 1, UserID: "2", Version: 1},
	} {
		ref.Now = at
		wantRevoked(t, s, ref, false)
	}
}

func revokeTwice(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	for range 3 {
		revoke(t, s, jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: at.Add(time.Hour)})
		wantRevoked(t, s, tokenOf(1, 1, at), true)
	}
}

// revocationCalls are uses of both verbs. The token concerned is not revoked.
func revocationCalls(s jwtauth.RevocationStore) []call {
	at := moment()
	return []call{
		{"Revoke", func(ctx context.Context) (bool, error) {
			r := jwtauth.Revocation{TokenID: "t", SessionID: "s", Generation: 2, UserID: "u", Version: 2, Expires: at.Add(time.Hour)}
			return false, s.Revoke(ctx, r)
		}},
		// Nobody looks at the result beside an error: false gives nothing away.
		{"Revoked", func(ctx context.Context) (bool, error) {
			_, err := s.Revoked(ctx, tokenOf(1, 1, at))
			return false, err
		}},
	}
}

func revocationsCancelled(t testing.TB, s jwtauth.RevocationStore) {
	refuseAll(t, cancelled(t), revocationCalls(s))
	wantRevoked(t, s, tokenOf(1, 1, moment()), false)
}

func revocationSeen(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	missed := make([]bool, racers)
	errs := make([]error, racers)
	together(racers, func(i int) {
		for round := range rounds {
			id := fmt.Sprintf("%d-%d", i, round)
			r := jwtauth.Revocation{Expires: at.Add(time.Hour)}
			ref := jwtauth.TokenRef{TokenID: "t" + id, SessionID: "s" + id, Generation: 1, UserID: "u" + id, Version: 1, Now: at}
			switch i % 3 {
			case 0:
				r.TokenID = ref.TokenID
			case 1:
				r.SessionID, r.Generation = ref.SessionID, 2
			case 2:
				r.UserID, r.Version = ref.UserID, 2
			}
			missed[i] = missed[i] || !revokedAfter(t.Context(), s, r, ref, &errs[i])
		}
	})
	wantTally(t, "Revoke and Revoked", errs, racers)
	if n := count(missed); n > 0 {
		t.Errorf("%d of %d goroutines revoked and then were told that it is not", n, racers)
	}
}

// revokedAfter revokes, and reports whether the check that follows knows it.
func revokedAfter(ctx context.Context, s jwtauth.RevocationStore, r jwtauth.Revocation, ref jwtauth.TokenRef, failed *error) bool {
	if err := s.Revoke(ctx, r); err != nil {
		*failed = err
		return true
	}
	revoked, err := s.Revoked(ctx, ref)
	if err != nil {
		*failed = err
		return true
	}
	return revoked
}

func noRevocationLost(t testing.TB, s jwtauth.RevocationStore) {
	at := moment()
	for round := range rounds {
		session, user := fmt.Sprintf("s%d", round), fmt.Sprintf("u%d", round)
		missed, errs := make([]bool, racers), make([]error, racers)
		together(racers, func(i int) {
			below := int64(i + 2)
			missed[i] = !revokedAfter(t.Context(), s,
				jwtauth.Revocation{SessionID: session, Generation: below, Expires: at.Add(time.Hour)},
				jwtauth.TokenRef{SessionID: session, Generation: below - 1, Now: at}, &errs[i])
			missed[i] = missed[i] || !revokedAfter(t.Context(), s,
				jwtauth.Revocation{UserID: user, Version: below, Expires: at.Add(time.Hour)},
				jwtauth.TokenRef{UserID: user, Version: below - 1, Now: at}, &errs[i])
		})
		wantTally(t, "Revoke and Revoked", errs, racers)
		if n := count(missed); n > 0 {
			t.Errorf("%d of %d goroutines raised a watermark and then found it lower", n, racers)
		}
		for _, generation := range []int64{1, racers - 1, racers, racers + 1} {
			want := generation <= racers
			wantRevoked(t, s, jwtauth.TokenRef{SessionID: session, Generation: generation, Now: at}, want)
			wantRevoked(t, s, jwtauth.TokenRef{UserID: user, Version: generation, Now: at}, want)
		}
	}
}
