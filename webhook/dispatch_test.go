package webhook_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// run is a test in a bubble, with a trail, a sink and nothing sent yet.
func run(t *testing.T, f func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := jwtauth.NewMemoryStore()
		f(t, newAuth(t, store), store, newSink(t))
	})
}

func TestEventsAreDeliveredOnceAndInOrder(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 250)
		stop := start(t, newDispatcher(t, a, store, s))
		time.Sleep(time.Minute)
		happen(t, a, 3)
		time.Sleep(2 * time.Second)
		stop()
		inOrder(t, s.got(), ids(t, a))
		if n := len(s.seen()); n != 253 || s.atOnce != 1 {
			t.Errorf("%d requests, %d at once", n, s.atOnce)
		}
	})
}

func TestSinkThatIsDownForAnHourLosesNothing(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		s.answers(status(http.StatusBadGateway))
		stop := start(t, newDispatcher(t, a, store, s))
		for range 60 {
			happen(t, a, 5)
			time.Sleep(time.Minute)
		}
		down := s.seen()
		for _, at := range down {
			if at.id != down[0].id {
				t.Fatal("the second event was sent before the first was taken")
			}
		}
		if len(down) < 8 || len(down) > 25 {
			t.Errorf("%d attempts in an hour", len(down))
		}
		s.answers(nil)
		time.Sleep(11 * time.Minute)
		stop()
		inOrder(t, s.got(), ids(t, a))
		if got := s.got(); len(got) != 300 || got[0] != down[0].id {
			t.Errorf("%d taken", len(got))
		}
	})
}

func TestPausesDoubleAndAreJittered(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		s.answers(status(http.StatusInternalServerError))
		happen(t, a, 1)
		stop := start(t, newDispatcher(t, a, store, s))
		time.Sleep(3 * time.Hour)
		stop()
		seen, whole := s.seen(), 0
		for i := 1; i < len(seen); i++ {
			most := min(time.Second<<min(i-1, 20), 10*time.Minute)
			pause := seen[i].at.Sub(seen[i-1].at)
			if pause < most/2 || pause > most {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
			if pause == most {
				whole++
			}
		}
		if len(seen) < 20 || whole > 3 {
			t.Errorf("%d attempts, %d pauses without jitter", len(seen), whole)
		}
	})
}

func TestAnswersThatAskToWait(t *testing.T) {
	for _, tc := range []struct {
		name        string
		code        int
		retryAfter  string
		least, most time.Duration
	}{
		{"seconds obeyed", 429, "90", 90 * time.Second, 91 * time.Second},
		{"seconds obeyed with 503", 503, "90", 90 * time.Second, 91 * time.Second},
		{"a year cut to ten minutes", 429, "31536000", 10 * time.Minute, 10*time.Minute + time.Second},
		{"date obeyed", 503, "Sat, 01 Jan 2000 00:02:00 GMT", 119 * time.Second, 121 * time.Second},
		{"date that has passed makes no difference", 503, "Sat, 01 Jan 1990 00:00:00 GMT", 500 * time.Millisecond, time.Second},
		{"negative seconds make no difference", 503, "-5", 500 * time.Millisecond, time.Second},
		{"number beyond all bounds makes no difference", 503, "99999999999999999999", 500 * time.Millisecond, time.Second},
		{"gone is tried again in an hour", 410, "", time.Hour, time.Hour + time.Second},
		{"wrong secret over there tried again", 401, "", 500 * time.Millisecond, time.Second},
		{"redirect is a failure", 307, "", 500 * time.Millisecond, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
				s.answers(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", tc.retryAfter)
					w.WriteHeader(tc.code)
				})
				happen(t, a, 1)
				stop := start(t, newDispatcher(t, a, store, s))
				time.Sleep(2 * time.Hour)
				stop()
				seen := s.seen()
				if len(seen) < 2 {
					t.Fatalf("%d attempts", len(seen))
				}
				if pause := seen[1].at.Sub(seen[0].at); pause < tc.least || pause > tc.most {
					t.Errorf("pause of %v, want %v to %v", pause, tc.least, tc.most)
				}
			})
		})
	}
}

func TestRestartGoesOnWhereItStopped(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 20)
		s.answers(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.taken = append(s.taken, s.attempts[len(s.attempts)-1].id)
		})
		for range 12 { // each stops in the middle of an attempt, and lets it end
			stop := start(t, newDispatcher(t, a, store, s))
			time.Sleep(150 * time.Millisecond)
			stop()
		}
		got := s.got()
		inOrder(t, got, ids(t, a))
		if len(got) != 20 {
			t.Errorf("%d requests for 20 events", len(got))
		}
	})
}

func TestIDsStayTheSameOverARestart(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 3)
		s.answers(status(http.StatusInternalServerError))
		for range 3 {
			stop := start(t, newDispatcher(t, a, store, s))
			time.Sleep(10 * time.Second)
			stop()
		}
		s.answers(nil)
		stop := start(t, newDispatcher(t, a, store, s))
		time.Sleep(10 * time.Second)
		stop()
		first := ids(t, a)[0]
		for i, at := range s.seen()[:9] {
			if at.id != first {
				t.Errorf("attempt %d has another id", i)
			}
		}
		inOrder(t, s.got(), ids(t, a))
	})
}

func TestStopEndsAnAttemptThatHangs(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 2)
		s.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		stop := start(t, newDispatcher(t, a, store, s, func(e *webhook.Endpoint) { e.Timeout = time.Minute }))
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v to stop", d)
		}
		s.answers(nil)
		defer start(t, newDispatcher(t, a, store, s))() // at once: the cursor was released
		time.Sleep(time.Second)
		inOrder(t, s.got(), ids(t, a))
	})
}

func TestTwoDispatchersShareOneCursor(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		s.answers(nil)
		stop1 := start(t, newDispatcher(t, a, store, s))
		stop2 := start(t, newDispatcher(t, newAuth(t, store), store, s))
		for range 200 {
			happen(t, a, 2)
			time.Sleep(time.Second)
		}
		stop1()
		happen(t, a, 50)
		time.Sleep(10 * time.Second)
		stop2()
		inOrder(t, s.got(), ids(t, a))
		if n := len(s.got()); n != 450 || s.atOnce != 1 {
			t.Errorf("%d requests for 450 events, %d at once", n, s.atOnce)
		}
	})
}

func TestDeadHolderIsReplacedWhenItsHoldEnds(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 5)
		now := time.Now()
		if _, err := store.HoldCursor(t.Context(), "webhook.hook", "dead", 0, now, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		stop := start(t, newDispatcher(t, a, store, s))
		time.Sleep(59 * time.Second)
		if n := len(s.seen()); n != 0 {
			t.Errorf("%d requests while somebody else holds the cursor", n)
		}
		time.Sleep(10 * time.Second)
		stop()
		inOrder(t, s.got(), ids(t, a))
	})
}

func TestEventsAreGivenUpAfterAStatedTime(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 2)
		all := ids(t, a)
		poison := func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(webhook.HeaderID) == all[0] {
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
		}
		s.answers(poison)
		d := newDispatcher(t, a, store, s, func(e *webhook.Endpoint) { e.GiveUpAfter = time.Hour })
		stop := start(t, d)
		time.Sleep(30 * time.Minute)
		stop() // the time goes on while nobody sends
		time.Sleep(20 * time.Minute)
		stop = start(t, d)
		time.Sleep(5 * time.Minute)
		if dead := must(d.DeadLetters(t.Context(), "hook", 0, 10))(t); len(dead) != 0 {
			t.Error("given up too early")
		}
		time.Sleep(20 * time.Minute)
		dead := must(d.DeadLetters(t.Context(), "hook", 0, 10))(t)
		if len(dead) != 1 || dead[0].EventID != all[0] || dead[0].Sequence != 1 || dead[0].Cursor != "hook" || dead[0].Reason != "status 422" {
			t.Fatalf("dead letters: %+v", dead)
		}
		if seen := s.seen(); seen[len(seen)-1].id != all[1] {
			t.Error("the next event was not sent")
		}
		wantErr(t, d.Redeliver(t.Context(), "hook", 1), "event 1 not delivered", "422")
		s.answers(nil)
		if err := d.Redeliver(t.Context(), "hook", 1); err != nil {
			t.Error(err)
		}
		if list := must(d.Status(t.Context()))(t); list[0].Dead != 0 || list[0].Sequence != 2 || list[0].Backlog != 0 {
			t.Errorf("status: %+v", list)
		}
		stop()
		if got := s.got(); len(got) != 1 || got[0] != all[0] {
			t.Errorf("redelivered: %v", got)
		}
	})
}

func TestReplayBeginsAgain(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 10)
		here := newDispatcher(t, a, store, s)
		elsewhere := newDispatcher(t, a, store, s)
		defer start(t, here)()
		time.Sleep(10 * time.Second)
		for name, d := range map[string]*webhook.Dispatcher{"by the sender": here, "by another process": elsewhere} {
			before := len(s.got())
			if err := d.Replay(t.Context(), "hook", 4); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			inOrder(t, s.got()[before:], ids(t, a)[3:])
			if n := len(s.got()) - before; n != 7 {
				t.Errorf("%s: %d sent again, want 7", name, n)
			}
		}
	})
}

func TestOperatorsMistakes(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 2)
		d := newDispatcher(t, a, store, s)
		_, err := d.DeadLetters(t.Context(), "other", 0, 10)
		wantErr(t, err, "not_found")
		wantErr(t, d.Redeliver(t.Context(), "other", 1), "not_found")
		wantErr(t, d.Redeliver(t.Context(), "hook", 3), "not_found")
		wantErr(t, d.Replay(t.Context(), "other", 1), "not_found")
		wantErr(t, d.Replay(t.Context(), "hook", 0), "begins with event 1")
	})
}

func TestNewEndpointBeginsAtThePresentEnd(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 5)
		time.Sleep(time.Second)
		d := newDispatcher(t, a, store, s, func(e *webhook.Endpoint) { e.FromStart = false })
		stop := start(t, d)
		time.Sleep(time.Second)
		happen(t, a, 2)
		time.Sleep(3 * time.Second)
		stop()
		inOrder(t, s.got(), ids(t, a)[5:])
	})
}

func TestFilterSendsWhatWasAskedFor(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		moves := &countingCursors{CursorStore: store}
		happen(t, a, 300)
		g := must(a.Register(t.Context(), jwtauth.Registration{Username: "ada", Email: "ada@example.test", Password: password}))(t)
		if err := a.DeleteUser(t.Context(), g.User.ID); err != nil {
			t.Fatal(err)
		}
		d := newDispatcher(t, a, moves, s, func(e *webhook.Endpoint) { e.Events = []string{"register", "account.*"} })
		stop := start(t, d)
		time.Sleep(3 * time.Second)
		backlog := must(d.Backlog(t.Context()))(t)
		stop()
		var names []string
		for _, at := range s.seen() {
			names = append(names, message(t, at.body).Type)
		}
		if got := strings.Join(names, " "); got != "register account.delete" {
			t.Errorf("sent: %s", got)
		}
		if backlog["hook"] != 0 || moves.moves > 6 {
			t.Errorf("backlog %d, %d moves", backlog["hook"], moves.moves)
		}
	})
}

type countingCursors struct {
	jwtauth.CursorStore
	moves int
}

func (c *countingCursors) MoveCursor(ctx context.Context, name, holder string, to int64, now time.Time) error {
	c.moves++
	return c.CursorStore.MoveCursor(ctx, name, holder, to, now)
}

func TestErasedAccountsAreSentWithoutThePerson(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		s.answers(status(http.StatusServiceUnavailable)) // the events wait here
		stop := start(t, newDispatcher(t, a, store, s))
		g := must(a.Register(t.Context(), jwtauth.Registration{Username: "ada", Email: "ada@example.test", Password: password}))(t)
		time.Sleep(time.Minute)
		if m := message(t, s.seen()[0].body); m.Data.UserID != g.User.ID {
			t.Errorf("before: %+v", m)
		}
		if err := a.DeleteUser(t.Context(), g.User.ID); err != nil {
			t.Fatal(err)
		}
		before := len(s.seen())
		s.answers(nil)
		time.Sleep(time.Hour)
		stop()
		for _, at := range s.seen()[before:] {
			if m := message(t, at.body); !m.Data.Erased || m.Data.UserID != "" || m.Data.SessionID != "" || strings.Contains(at.body, `"user`) {
				t.Errorf("sent after the account was deleted: %s", at.body)
			}
		}
		inOrder(t, s.got(), ids(t, a))
	})
}

func TestWhatWasPurgedBeforeItWasSentIsCounted(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		happen(t, a, 2)
		d := newDispatcher(t, a, store, s)
		stop := start(t, d)
		time.Sleep(5 * time.Second)
		stop()
		happen(t, a, 10_050) // the store keeps 10,000
		time.Sleep(time.Second)
		s.answers(status(http.StatusInternalServerError))
		stop = start(t, d)
		time.Sleep(time.Minute)
		stop()
		if list := must(d.Status(t.Context()))(t); list[0].Missed != 50 {
			t.Errorf("missed %d, want 50", list[0].Missed)
		}
	})
}

// A receiver that hangs costs the host one attempt at a time, and a login
// nothing.
func TestHangingSinkLeavesLoginsAlone(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		s.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		must(a.Register(t.Context(), jwtauth.Registration{Username: "ada", Email: "ada@example.test", Password: password}))(t)
		stop := start(t, newDispatcher(t, a, store, s))
		time.Sleep(time.Second)
		began := time.Now()
		for range 200 {
			must(a.Login(t.Context(), jwtauth.Credentials{Username: "ada", Password: password}))(t)
		}
		if d := time.Since(began); d != 0 { // of the bubble: nothing was waited for
			t.Errorf("logins waited %v", d)
		}
		time.Sleep(time.Minute)
		stop()
		if n := len(s.seen()); n > 5 || s.atOnce != 1 {
			t.Errorf("%d attempts, %d at once", n, s.atOnce)
		}
	})
}
