package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func cursorChecks() []check[jwtauth.CursorStore] {
	return []check[jwtauth.CursorStore]{
		{"cursor made where it is to start", "HoldCursor makes a cursor at start, once, and returns the one that is there otherwise. " +
			"One that starts anew sends everything a second time.", cursorsMade},
		{"one holder at a time", "until a hold ends nobody else gets the cursor; its holder may prolong it. At exactly Until it is over. " +
			"Two holders send out of order.", cursorsHeld},
		{"only the holder moves a cursor", "MoveCursor compares the holder and the time. " +
			"A consumer that was stuck must not move the cursor of the one that took over.", cursorsMoved},
		{"released cursor free at once", "ReleaseCursor ends a hold of that holder, and no other.", cursorsReleased},
		{"cursors listed by name", "Cursors returns each of them, with every field.", cursorsListed},
		{"dead letters kept until dropped", "they are kept by cursor and Sequence, in its order; the same one again replaces it.", lettersKept},
		{"cancelled context changes nothing", whyCancelled, cursorsCancelled},
		{"one of many concurrent holders wins", "HoldCursor compares and sets at once, for a new cursor and for one whose hold has ended.", cursorsConcurrent},
	}
}

// hold fails unless HoldCursor gives the cursor at that place.
func hold(t testing.TB, s jwtauth.CursorStore, holder string, start int64, now time.Time, at int64) jwtauth.Cursor {
	t.Helper()
	c, err := s.HoldCursor(t.Context(), "hook", holder, start, now, now.Add(time.Minute))
	wantNil(t, "HoldCursor", err)
	if c.Sequence != at {
		t.Errorf("HoldCursor: Sequence %d, want %d", c.Sequence, at)
	}
	return c
}

func cursorsMade(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	want := jwtauth.Cursor{Name: "hook", Sequence: 1 << 40, Moved: now, Holder: "a", Until: now.Add(time.Minute)}
	wantSame(t, "new cursor", hold(t, s, "a", 1<<40, now, 1<<40), want)
	now = now.Add(time.Hour)
	want.Holder, want.Until = "b", now.Add(time.Minute)
	wantSame(t, "cursor that was there", hold(t, s, "b", 7, now, 1<<40), want)
}

func cursorsHeld(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	hold(t, s, "a", 0, now, 0)
	_, err := s.HoldCursor(t.Context(), "hook", "b", 0, now.Add(time.Minute-instant), now.Add(time.Hour))
	wantErr(t, "HoldCursor of one that is held", err, jwtauth.ErrConflict)
	hold(t, s, "a", 0, now.Add(30*time.Second), 0)
	_, err = s.HoldCursor(t.Context(), "hook", "b", 0, now.Add(time.Minute), now.Add(time.Hour))
	wantErr(t, "HoldCursor of one whose hold was prolonged", err, jwtauth.ErrConflict)
	hold(t, s, "b", 0, now.Add(90*time.Second), 0)
	if _, err := s.HoldCursor(t.Context(), "other", "c", 0, now, now.Add(time.Minute)); err != nil {
		t.Errorf("HoldCursor of another cursor: %v", err)
	}
}

func cursorsMoved(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	wantErr(t, "MoveCursor of one that is not there", s.MoveCursor(t.Context(), "hook", "a", 5, now), jwtauth.ErrNotFound)
	hold(t, s, "a", 0, now, 0)
	now = now.Add(time.Second)
	wantNil(t, "MoveCursor", s.MoveCursor(t.Context(), "hook", "a", 5, now))
	wantErr(t, "MoveCursor by somebody else", s.MoveCursor(t.Context(), "hook", "b", 6, now), jwtauth.ErrConflict)
	if c := hold(t, s, "a", 0, now, 5); !c.Moved.Equal(now) {
		t.Errorf("MoveCursor: Moved is %v off", c.Moved.Sub(now))
	}
	wantNil(t, "MoveCursor back", s.MoveCursor(t.Context(), "hook", "a", 2, now))
	later := now.Add(time.Minute)
	wantErr(t, "MoveCursor when the hold has ended", s.MoveCursor(t.Context(), "hook", "a", 9, later), jwtauth.ErrConflict)
	hold(t, s, "b", 0, later, 2)
	wantErr(t, "MoveCursor when somebody took over", s.MoveCursor(t.Context(), "hook", "a", 9, later), jwtauth.ErrConflict)
	hold(t, s, "b", 0, later, 2)
}

func cursorsReleased(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	wantNil(t, "ReleaseCursor of none", s.ReleaseCursor(t.Context(), "hook", "a"))
	hold(t, s, "a", 3, now, 3)
	wantNil(t, "ReleaseCursor by somebody else", s.ReleaseCursor(t.Context(), "hook", "b"))
	_, err := s.HoldCursor(t.Context(), "hook", "b", 0, now, now.Add(time.Minute))
	wantErr(t, "HoldCursor after a release by somebody else", err, jwtauth.ErrConflict)
	wantNil(t, "ReleaseCursor", s.ReleaseCursor(t.Context(), "hook", "a"))
	wantErr(t, "MoveCursor after the release", s.MoveCursor(t.Context(), "hook", "a", 4, now), jwtauth.ErrConflict)
	hold(t, s, "b", 0, now, 3)
}

func cursorsListed(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	list, err := s.Cursors(t.Context())
	wantNil(t, "Cursors", err)
	if len(list) != 0 {
		t.Fatalf("Cursors: %d in an empty store", len(list))
	}
	want := []jwtauth.Cursor{
		{Name: "a", Sequence: 4, Moved: now, Holder: "h", Until: now.Add(time.Minute)},
		{Name: "b", Sequence: 2, Moved: now, Holder: "h", Until: now.Add(time.Minute)},
	}
	for _, c := range []jwtauth.Cursor{want[1], want[0]} {
		_, err := s.HoldCursor(t.Context(), c.Name, c.Holder, c.Sequence, now, c.Until)
		wantNil(t, "HoldCursor", err)
	}
	list, err = s.Cursors(t.Context())
	wantNil(t, "Cursors", err)
	if len(list) != len(want) {
		t.Fatalf("Cursors: %d, want %d", len(list), len(want))
	}
	for i := range want {
		wantSame(t, "cursor "+want[i].Name, list[i], want[i])
	}
}

// letter has a value in every field.
func letter(sequence int64) jwtauth.DeadLetter {
	return jwtauth.DeadLetter{Cursor: "hook", Sequence: sequence, EventID: event(int(sequence)).ID, Reason: "no answer: \"😀\"",
		Time: time.Unix(1_800_000_000+sequence, 0).UTC()}
}

func lettersKept(t testing.TB, s jwtauth.CursorStore) {
	ctx := t.Context()
	other := letter(2)
	other.Cursor = "Hook"
	replaced := letter(10)
	replaced.Reason = "first try"
	for _, d := range []jwtauth.DeadLetter{letter(9), replaced, letter(2), other, letter(10)} {
		wantNil(t, "PutDeadLetter", s.PutDeadLetter(ctx, d))
	}
	wantLetters(t, s, 0, 10, 2, 9, 10)
	wantLetters(t, s, 2, 1, 9)
	wantErr(t, "DropDeadLetter of none", s.DropDeadLetter(ctx, "hook", 3), jwtauth.ErrNotFound)
	wantNil(t, "DropDeadLetter", s.DropDeadLetter(ctx, "hook", 2))
	wantLetters(t, s, 0, 10, 9, 10)
	list, err := s.DeadLetters(ctx, "Hook", 0, 10)
	wantNil(t, "DeadLetters", err)
	if len(list) != 1 {
		t.Errorf("DeadLetters of another cursor: %d, want 1", len(list))
	}
}

func wantLetters(t testing.TB, s jwtauth.CursorStore, after int64, limit int, sequences ...int64) {
	t.Helper()
	list, err := s.DeadLetters(t.Context(), "hook", after, limit)
	wantNil(t, "DeadLetters", err)
	if len(list) != len(sequences) {
		t.Fatalf("DeadLetters: %d, want %v", len(list), sequences)
	}
	for i, sequence := range sequences {
		wantSame(t, fmt.Sprintf("dead letter %d", sequence), list[i], letter(sequence))
	}
}

func cursorCalls(t testing.TB, s jwtauth.CursorStore) []call {
	now := moment()
	hold(t, s, "a", 0, now, 0)
	wantNil(t, "PutDeadLetter", s.PutDeadLetter(t.Context(), letter(1)))
	return []call{
		{"HoldCursor", func(ctx context.Context) (bool, error) {
			c, err := s.HoldCursor(ctx, "new", "a", 0, now, now.Add(time.Minute))
			return c.Name != "", err
		}},
		{"MoveCursor", func(ctx context.Context) (bool, error) { return false, s.MoveCursor(ctx, "hook", "a", 5, now) }},
		{"ReleaseCursor", func(ctx context.Context) (bool, error) { return false, s.ReleaseCursor(ctx, "hook", "a") }},
		{"Cursors", func(ctx context.Context) (bool, error) {
			list, err := s.Cursors(ctx)
			return len(list) > 0, err
		}},
		{"PutDeadLetter", func(ctx context.Context) (bool, error) { return false, s.PutDeadLetter(ctx, letter(2)) }},
		{"DeadLetters", func(ctx context.Context) (bool, error) {
			list, err := s.DeadLetters(ctx, "hook", 0, 10)
			return len(list) > 0, err
		}},
		{"DropDeadLetter", func(ctx context.Context) (bool, error) { return false, s.DropDeadLetter(ctx, "hook", 1) }},
	}
}

func cursorsCancelled(t testing.TB, s jwtauth.CursorStore) {
	refuseAll(t, cancelled(t), cursorCalls(t, s))
	list, err := s.Cursors(t.Context())
	wantNil(t, "Cursors", err)
	if len(list) != 1 || list[0].Sequence != 0 || list[0].Holder != "a" {
		t.Errorf("Cursors: %+v, want the one that was there, as it was", list)
	}
	wantLetters(t, s, 0, 10, 1)
}

func cursorsConcurrent(t testing.TB, s jwtauth.CursorStore) {
	now := moment()
	for round := range rounds {
		errs := make([]error, racers)
		together(racers, func(i int) {
			_, errs[i] = s.HoldCursor(t.Context(), "hook", fmt.Sprint("holder", i), 0, now, now.Add(time.Minute))
		})
		wantTally(t, fmt.Sprintf("HoldCursor, round %d", round), errs, 1, jwtauth.ErrConflict)
		now = now.Add(time.Minute)
	}
}
