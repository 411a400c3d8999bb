package jwtauth

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// A store that returns because its caller gave up has not answered: the others
// go on being refused at once.
func TestCallerWhoGivesUpIsNoAnswer(t *testing.T) {
	p := newOutages(time.Second, slog.New(slog.DiscardHandler)).with(new(int), "users")
	for range 200 { // the caller sees its own end or that of the call, whichever comes first
		p.next.Store(1) // silent, and a try is due
		ctx, cancel := context.WithCancel(t.Context())
		_, err := ask(ctx, p, 1, func(ctx context.Context) (int, error) {
			cancel()
			return 0, ctx.Err()
		})
		if err == nil || p.next.Load() == 0 || p.answered.Load() != 0 {
			t.Fatalf("error %v, next try at %d, last answer at %d; want an error, and nothing heard", err, p.next.Load(), p.answered.Load())
		}
	}
}
