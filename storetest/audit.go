package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

func auditChecks() []check[jwtauth.AuditStore] {
	return []check[jwtauth.AuditStore]{
		{"events appended whole and in order", "Append stores every field, however strange, and nothing that Append confirmed is missing. " +
			"An event that is lost is the one about the break-in.", eventsKept},
		{"cancelled context changes nothing", whyCancelled, auditCancelled},
		{"no concurrent event is lost", "every Append that returned nil has stored its event, once.", eventsConcurrent},
	}
}

// event returns one that has a value in every field.
func event(i int) jwtauth.Event {
	return jwtauth.Event{
		ID:   fmt.Sprintf("01890a5d-ac96-774b-bcce-%012x", i),
		Time: moment().Add(123456 * time.Microsecond), Name: jwtauth.EventLogin, Result: jwtauth.ResultRefused,
		Reason: "invalid_credentials", UserID: "42", ActorID: "1", SessionID: "Ab3-_9zQ0mXo1Pq2Rs3TuA",
		TokenID: "b1946ac9-2492-4d6e-9a0a-0c6e1f4f2c11", Address: "2001:db8::1",
		UserAgent: "Zoë's 🦊 \"agent\"; \\ %s\n" + strings.Repeat("x", 200), RequestID: "req-1",
	}
}

// kept returns the events of a store that shows them.
func kept(s jwtauth.AuditStore) ([]jwtauth.Event, bool) {
	shower, ok := s.(interface{ Events() []jwtauth.Event })
	if !ok {
		return nil, false
	}
	return shower.Events(), true
}

func eventsKept(t testing.TB, s jwtauth.AuditStore) {
	want := []jwtauth.Event{event(1), {ID: event(2).ID, Time: moment(), Name: jwtauth.EventReuse, Result: jwtauth.ResultOK}, event(3)}
	for _, e := range want {
		wantNil(t, "Append", s.Append(t.Context(), e))
	}
	got, ok := kept(s)
	if !ok {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("%d events are kept, want %d", len(got), len(want))
	}
	for i := range got {
		wantSame(t, fmt.Sprintf("event %d", i), got[i], want[i])
	}
}

func auditCalls(s jwtauth.AuditStore) []call {
	return []call{{"Append", func(ctx context.Context) (bool, error) { return false, s.Append(ctx, event(1)) }}}
}

func auditCancelled(t testing.TB, s jwtauth.AuditStore) {
	refuseAll(t, cancelled(t), auditCalls(s))
	if got, ok := kept(s); ok && len(got) > 0 {
		t.Errorf("%d events are kept, want none", len(got))
	}
}

func eventsConcurrent(t testing.TB, s jwtauth.AuditStore) {
	errs := make([]error, racers)
	together(racers, func(i int) {
		for round := range rounds {
			if errs[i] == nil {
				errs[i] = s.Append(t.Context(), event(i*rounds+round))
			}
		}
	})
	wantTally(t, "Append", errs, racers)
	got, ok := kept(s)
	if !ok {
		return
	}
	ids := make(map[string]bool)
	for _, e := range got {
		ids[e.ID] = true
	}
	if len(got) != racers*rounds || len(ids) != racers*rounds {
		t.Errorf("%d events with %d ids are kept, want %d", len(got), len(ids), racers*rounds)
	}
}
