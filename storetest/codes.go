package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func codeChecks() []check[jwtauth.CodeStore] {
	return []check[jwtauth.CodeStore]{
		{"right code accepted once", "ConsumeCode with the right hash returns what was stored and removes it. " +
			"Otherwise a reset link from an old mail works again.", codeOnce},
		{"unknown code not found", "absence is ErrNotFound.", unknownCode},
		{"wrong code refused", "only the whole hash fits: no prefix, no longer one, no empty one. The answer is ErrConflict.", wrongCode},
		{"code dies with its last attempt", "every attempt counts before it is compared, and the last one removes the code, right or wrong. " +
			"Otherwise six digits are guessed in an afternoon.", attemptsCount},
		{"last attempt may be right", "the attempts that are left can be used, all of them.", lastAttemptRight},
		{"code without attempts refused", "a code with no attempts left is not accepted, whatever the hash.", noAttempts},
		{"new code replaces the old one", "there is one code for each key: after PutCode the one before is wrong, and attempts count anew. " +
			"Otherwise each link that was ever sent stays open.", codeReplaced},
		{"expired code not found", "a code is refused from exactly Expires on, and accepted until an instant before. " +
			"Otherwise an old mail opens the account.", codeExpires},
		{"other codes untouched", "an attempt concerns one key, compared byte by byte. " +
			"Otherwise guessing at one account uses up, or opens, another.", codesApart},
		{"changes to arguments and results stay outside", "hashes are copied in and out.", codesIsolated},
		{"first claim wins until it ends", "ClaimOnce is true for the first caller and false for everybody until its end. " +
			"Otherwise a single sign-on token is used twice.", claimOnce},
		{"refused claim changes nothing", "a refused ClaimOnce neither prolongs nor shortens the first one.", refusedClaim},
		{"claims and codes do not meet", "a claim with the key of a code concerns it in no way.", claimsApart},
		{"cancelled context changes nothing", whyCancelled, codesCancelled},
		{"one of many uses of a code wins", "ConsumeCode compares and removes atomically. " +
			"Otherwise one reset link sets two passwords: the thief's comes last.", oneUseWins},
		{"concurrent guesses never exceed the attempts", "attempts are counted atomically. " +
			"Otherwise guesses sent at the same moment share one attempt.", guessesConcurrent},
		{"one of many claims wins", "ClaimOnce is atomic, for a key that is new and for one whose claim is over.", oneClaimWins},
	}
}

var right, wrong = []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef0123456789abcdeF")

// code returns one that lives for ten minutes.
func code(key string, attempts int) jwtauth.OneTimeCode {
	return jwtauth.OneTimeCode{Key: key, Hash: append([]byte(nil), right...), Version: 3, Attempts: attempts, Expires: moment().Add(10 * time.Minute)}
}

func putCode(t testing.TB, s jwtauth.CodeStore, c jwtauth.OneTimeCode) jwtauth.OneTimeCode {
	t.Helper()
	wantNil(t, "PutCode", s.PutCode(t.Context(), c))
	return c
}

// consume fails unless ConsumeCode ends with the sentinel; nil for success.
func consume(t testing.TB, s jwtauth.CodeStore, key string, hash []byte, now time.Time, want *jwtauth.Error) jwtauth.OneTimeCode {
	t.Helper()
	c, err := s.ConsumeCode(t.Context(), key, hash, now)
	if want != nil {
		wantErr(t, "ConsumeCode", err, want)
		return c
	}
	if err != nil {
		t.Errorf("ConsumeCode with the right hash: unexpected error: %v", err)
	}
	return c
}

func codeOnce(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for _, key := range []string{"reset:1", "otp:Zoë 🦊:' %"} {
		c := code(key, 5)
		c.Hash = []byte{0, 1, 0xff, '\'', '\\', 0, '%', 0x80, '\n', 0}
		c.Version, c.Expires = 1<<40, c.Expires.Add(123456*time.Microsecond)
		putCode(t, s, c)
		got := consume(t, s, key, c.Hash, now, nil)
		c.Attempts = got.Attempts // before or after this one: nobody needs it
		wantSame(t, "result of ConsumeCode", got, c)
		consume(t, s, key, c.Hash, now, jwtauth.ErrNotFound)
		consume(t, s, key, c.Hash, now, jwtauth.ErrNotFound)
	}
}

func unknownCode(t testing.TB, s jwtauth.CodeStore) {
	consume(t, s, "reset:1", right, moment(), jwtauth.ErrNotFound)
	consume(t, s, "", nil, moment(), jwtauth.ErrNotFound)
}

func wrongCode(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	putCode(t, s, code("reset:1", 100))
	for _, hash := range [][]byte{wrong, right[:31], append(right[:32:32], 0), {}, nil, make([]byte, 32)} {
		if got := consume(t, s, "reset:1", hash, now, jwtauth.ErrConflict); len(got.Hash) > 0 {
			t.Error("ConsumeCode with a wrong hash returns the right one")
		}
	}
	consume(t, s, "reset:1", right, now, nil)
}

func attemptsCount(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for _, attempts := range []int{1, 2, 5} {
		key := fmt.Sprint(attempts)
		putCode(t, s, code(key, attempts))
		for range attempts {
			consume(t, s, key, wrong, now, jwtauth.ErrConflict)
		}
		consume(t, s, key, right, now, jwtauth.ErrNotFound)
		consume(t, s, key, wrong, now, jwtauth.ErrNotFound)
	}
}

func lastAttemptRight(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for _, attempts := range []int{1, 2, 5} {
		key := fmt.Sprint(attempts)
		putCode(t, s, code(key, attempts))
		for range attempts - 1 {
			consume(t, s, key, wrong, now, jwtauth.ErrConflict)
		}
		consume(t, s, key, right, now, nil)
	}
}

func noAttempts(t testing.TB, s jwtauth.CodeStore) {
	for _, attempts := range []int{0, -1} {
		key := fmt.Sprint(attempts)
		if err := s.PutCode(t.Context(), code(key, attempts)); err != nil {
			continue // refused at once: as good
		}
		if _, err := s.ConsumeCode(t.Context(), key, right, moment()); err == nil {
			t.Errorf("ConsumeCode accepted a code with %d attempts left", attempts)
		}
	}
}

func codeReplaced(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	old := code("reset:1", 2)
	old.Hash = wrong
	putCode(t, s, old)
	consume(t, s, "reset:1", []byte("x"), now, jwtauth.ErrConflict)
	next := code("reset:1", 3)
	next.Version, next.Expires = 4, next.Expires.Add(time.Hour)
	putCode(t, s, next)
	consume(t, s, "reset:1", old.Hash, now, jwtauth.ErrConflict)
	consume(t, s, "reset:1", old.Hash, now, jwtauth.ErrConflict)
	got := consume(t, s, "reset:1", right, old.Expires.Add(time.Minute), nil)
	next.Attempts = got.Attempts
	wantSame(t, "result of ConsumeCode", got, next)
	consume(t, s, "reset:1", old.Hash, now, jwtauth.ErrNotFound)
}

func codeExpires(t testing.TB, s jwtauth.CodeStore) {
	for i, late := range []time.Duration{0, instant, time.Hour, -instant, -10 * time.Minute} {
		c := putCode(t, s, code(fmt.Sprint(i), 3))
		if late < 0 {
			consume(t, s, c.Key, right, c.Expires.Add(late), nil)
			continue
		}
		consume(t, s, c.Key, right, c.Expires.Add(late), jwtauth.ErrNotFound)
		c = putCode(t, s, code(fmt.Sprint(i), 3))
		consume(t, s, c.Key, wrong, c.Expires.Add(late), jwtauth.ErrNotFound)
	}
}

func codesApart(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for _, pair := range lookalikes {
		putCode(t, s, code(pair.a, 1))
		consume(t, s, pair.b, right, now, jwtauth.ErrNotFound)
		other := code(pair.b, 1)
		other.Hash = wrong
		putCode(t, s, other)
		consume(t, s, pair.b, right, now, jwtauth.ErrConflict)
		consume(t, s, pair.a, right, now, nil)
	}
}

func codesIsolated(t testing.TB, s jwtauth.CodeStore) {
	c := putCode(t, s, code("reset:1", 5))
	clear(c.Hash)
	consume(t, s, "reset:1", c.Hash, moment(), jwtauth.ErrConflict)
	consume(t, s, "reset:1", right, moment(), nil)
}

// claim fails unless ClaimOnce says what it should.
func claim(t testing.TB, s jwtauth.CodeStore, key string, now, until time.Time, want bool) {
	t.Helper()
	got, err := s.ClaimOnce(t.Context(), key, now, until)
	wantNil(t, "ClaimOnce", err)
	if got != want {
		t.Errorf("ClaimOnce(%q) says %t, want %t", key, got, want)
	}
}

func claimOnce(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	until := now.Add(time.Hour)
	claim(t, s, "sso:1", now, until, true)
	claim(t, s, "sso:1", now, until, false)
	claim(t, s, "sso:2", now, until, true)
	claim(t, s, "SSO:1", now, until, true)
	claim(t, s, "sso:1 ", now, until, true)
	claim(t, s, "sso:1", until.Add(-instant), until.Add(time.Hour), false)
	claim(t, s, "sso:1", until.Add(time.Second), until.Add(time.Hour), true)
	claim(t, s, "sso:1", until.Add(2*time.Second), until.Add(time.Hour), false)
}

func refusedClaim(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	until := now.Add(time.Hour)
	claim(t, s, "long", now, until, true)
	claim(t, s, "long", now, now.Add(2*time.Hour), false)
	claim(t, s, "long", now, now.Add(time.Minute), false)
	claim(t, s, "long", until.Add(-instant), until.Add(time.Hour), false)
	claim(t, s, "long", until.Add(time.Second), until.Add(time.Hour), true)
}

func claimsApart(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	putCode(t, s, code("key", 1))
	claim(t, s, "key", now, now.Add(time.Hour), true)
	consume(t, s, "key", right, now, nil)
	claim(t, s, "key", now, now.Add(time.Hour), false)
}

// codeCalls are uses of every verb. The code exists and the claim is free.
func codeCalls(t testing.TB, s jwtauth.CodeStore) []call {
	now := moment()
	putCode(t, s, code("reset:1", 1))
	return []call{
		{"PutCode", func(ctx context.Context) (bool, error) {
			c := code("reset:1", 1)
			c.Hash = wrong
			return false, s.PutCode(ctx, c)
		}},
		{"ConsumeCode", func(ctx context.Context) (bool, error) {
			c, err := s.ConsumeCode(ctx, "reset:1", right, now)
			return c.Key != "", err
		}},
		{"ClaimOnce", func(ctx context.Context) (bool, error) { return s.ClaimOnce(ctx, "sso:1", now, now.Add(time.Hour)) }},
	}
}

func codesCancelled(t testing.TB, s jwtauth.CodeStore) {
	refuseAll(t, cancelled(t), codeCalls(t, s))
	consume(t, s, "reset:1", right, moment(), nil)
	claim(t, s, "sso:1", moment(), moment().Add(time.Hour), true)
}

func oneUseWins(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for round := range rounds {
		key := fmt.Sprint(round)
		putCode(t, s, code(key, 1+round*racers)) // with one attempt, and with plenty
		errs := make([]error, racers)
		together(racers, func(i int) { _, errs[i] = s.ConsumeCode(t.Context(), key, right, now) })
		wantTally(t, "ConsumeCode with the right hash", errs, 1, jwtauth.ErrNotFound)
	}
}

func guessesConcurrent(t testing.TB, s jwtauth.CodeStore) {
	const attempts = 5
	now := moment()
	for round := range rounds {
		key := fmt.Sprint(round)
		putCode(t, s, code(key, attempts))
		errs := make([]error, racers)
		together(racers, func(i int) { _, errs[i] = s.ConsumeCode(t.Context(), key, wrong, now) })
		wantTally(t, "ConsumeCode with a wrong hash", errs, 0, jwtauth.ErrConflict, jwtauth.ErrNotFound)
		compared := 0
		for _, err := range errs {
			if errors.Is(err, jwtauth.ErrConflict) {
				compared++
			}
		}
		if compared != attempts {
			t.Errorf("%d of %d concurrent guesses were compared, want exactly %d", compared, racers, attempts)
		}
		consume(t, s, key, right, now, jwtauth.ErrNotFound)
	}
}

func oneClaimWins(t testing.TB, s jwtauth.CodeStore) {
	now := moment()
	for round := range rounds {
		got, errs := make([]bool, racers), make([]error, racers)
		together(racers, func(i int) {
			got[i], errs[i] = s.ClaimOnce(t.Context(), "sso:1", now, now.Add(time.Hour))
		})
		wantTally(t, "ClaimOnce", errs, racers)
		if n := count(got); n != 1 {
			t.Errorf("%d of %d concurrent claims won in round %d, want exactly 1", n, racers, round)
		}
		now = now.Add(time.Hour + time.Second) // the claim is over, the key remains
	}
}
