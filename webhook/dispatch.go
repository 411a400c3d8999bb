package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

const (
	// pageSize is how many events are in memory for an endpoint, at most.
	pageSize = 100
	// pageAge is how long they are. Then they are read again, so that what was
	// erased meanwhile is not sent.
	pageAge = time.Second
	// holdMargin is how much longer than an attempt a cursor is held.
	holdMargin = 30 * time.Second
	// standby is how often it is tried to take over a cursor that somebody
	// else holds.
	standby  = 5 * time.Second
	minPause = time.Second
	maxPause = 10 * time.Minute
	// gonePause follows a 410.
	gonePause = time.Hour
	// measureEvery is how often the backlog is measured.
	measureEvery = 15 * time.Second
	// stopGrace is how long an attempt may go on when Run is told to end.
	stopGrace = 5 * time.Second
)

// sender delivers to one endpoint. One goroutine runs it; mu is for what others
// look at.
type sender struct {
	Endpoint
	d      *Dispatcher
	keys   [][]byte
	client *http.Client
	log    *slog.Logger
	wake   chan struct{}

	cursor jwtauth.Cursor // as held; the goroutine's own
	tries  int            // in a row that failed
	faults int            // of a store, in a row

	mu     sync.Mutex
	held   time.Time // until when; zero makes it ask again
	status EndpointStatus
}

func newSender(d *Dispatcher, e Endpoint) (*sender, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	keys, err := decodeSecrets(e.Secrets)
	if err != nil {
		return nil, err
	}
	return &sender{Endpoint: e, d: d, keys: keys, client: newClient(d.cfg, e), wake: make(chan struct{}, 1),
		log: d.cfg.Logger.With("webhook", e.Name), status: EndpointStatus{Name: e.Name}}, nil
}

// cursorName keeps apart from other consumers of the trail.
func cursorName(endpoint string) string { return "webhook." + endpoint }

// Run sends until ctx ends. An attempt under way then gets 5 s to finish; what
// has not been sent stays in the trail for the next Run, here or elsewhere, and
// is counted in the log. It returns nil: faults of the store are logged and
// tried again. Call it once, in a goroutine of its own.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range d.senders {
		wg.Go(func() { s.run(ctx) })
	}
	if d.cfg.Metrics != nil {
		wg.Go(func() { d.measureBacklog(ctx) })
	}
	wg.Wait()
	return nil
}

// measureBacklog tells how much waits, until ctx ends. What the store does not
// answer is not measured; who sends has said so already.
func (d *Dispatcher) measureBacklog(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		backlog, _ := d.Backlog(ctx)
		for name, n := range backlog {
			d.cfg.Metrics.Measure(ctx, jwtauth.MetricWebhookBacklog, float64(n), jwtauth.Label{Name: jwtauth.LabelWebhook, Value: name})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sender) run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	defer stop()
	for ctx.Err() == nil {
		pause := s.step(ctx, work)
		s.plan(pause)
		if pause > 0 {
			s.sleep(ctx, pause)
		}
	}
	s.end(context.WithoutCancel(ctx))
}

// plan notes when the next step is.
func (s *sender) plan(pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.NextAttempt = s.d.cfg.Now().Add(pause)
}

func (s *sender) sleep(ctx context.Context, pause time.Duration) {
	// Whatever the pause, the cursor stays held: others would take over and
	// begin with the shortest one again.
	for pause > 0 {
		part := min(pause, holdMargin/2)
		timer := time.NewTimer(part)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
			return
		case <-timer.C:
		}
		pause -= part
		if at := s.cursor; pause > 0 && at.Name != "" {
			if _, err := s.hold(ctx); err != nil || s.cursor.Sequence != at.Sequence {
				return // moved by a Replay in another process
			}
		}
	}
}

// end gives the cursor up, so that another process can go on at once.
func (s *sender) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	s.client.CloseIdleConnections()
	s.unhold()
	if err := s.d.cfg.Cursors.ReleaseCursor(ctx, cursorName(s.Name), s.d.holder); err != nil {
		s.log.Error("webhook cursor not released, others wait until its hold ends", "error", err)
	}
	if s.cursor.Name == "" {
		return
	}
	if end, err := s.d.auth.TrailEnd(ctx); err == nil && end > s.cursor.Sequence {
		s.log.Warn("webhook stopped, the rest is sent after the next start", "backlog", end-s.cursor.Sequence)
	}
}

// step holds the cursor and sends what is next. It returns how long to wait; 0
// if there may be more. ctx ends the step between two events, work ends the
// attempt.
func (s *sender) step(ctx, work context.Context) time.Duration {
	held, err := s.hold(work)
	if err == nil && !held {
		s.cursor = jwtauth.Cursor{}
		return standby
	}
	var events []jwtauth.Event
	if err == nil {
		events, err = s.d.auth.Follow(work, s.cursor.Sequence, pageSize)
	}
	var pause time.Duration
	if err == nil {
		pause, err = s.page(ctx, work, events)
	}
	switch {
	case errors.Is(err, jwtauth.ErrConflict): // somebody else took the cursor, or moved it
		s.unhold()
		return s.d.cfg.Poll
	case err != nil:
		s.faults++
		s.log.Error("webhook waits for the store", "error", err)
		return jitter(backoff(s.faults, maxPause/20))
	}
	s.faults = 0
	if pause == 0 && len(events) == 0 {
		return s.d.cfg.Poll
	}
	return pause
}

// hold makes sure that the cursor is ours for one more attempt. It is false
// where somebody else has it.
func (s *sender) hold(ctx context.Context) (bool, error) {
	now := s.d.cfg.Now()
	if s.holds(now.Add(s.Timeout + holdMargin/2)) {
		return true, nil
	}
	var start int64
	if s.cursor.Name == "" && !s.FromStart {
		end, err := s.d.auth.TrailEnd(ctx)
		if err != nil {
			return false, err
		}
		start = end
	}
	until := now.Add(2*s.Timeout + 2*holdMargin)
	c, err := s.d.cfg.Cursors.HoldCursor(ctx, cursorName(s.Name), s.d.holder, start, now, until)
	if errors.Is(err, jwtauth.ErrConflict) {
		s.unhold()
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.Sequence != s.cursor.Sequence {
		s.tries = 0
	}
	s.cursor = c
	s.mu.Lock()
	s.held = until
	s.mu.Unlock()
	return true, nil
}

func (s *sender) holds(until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.After(until)
}

func (s *sender) unhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = time.Time{}
}

// page sends events until one fails or the page is too old. What is filtered
// out moves the cursor once, not each time.
func (s *sender) page(ctx, work context.Context, events []jwtauth.Event) (time.Duration, error) {
	began := s.d.cfg.Now()
	at := s.cursor.Sequence
	for _, e := range events {
		now := s.d.cfg.Now()
		if ctx.Err() != nil || now.Sub(began) >= pageAge || !s.holds(now.Add(s.Timeout)) {
			break
		}
		s.missed(at, e.Sequence)
		if !s.wants(e.Name) {
			at = e.Sequence
			continue
		}
		pause, err := s.deliver(ctx, work, e)
		if err == nil && pause > 0 {
			err = s.move(work, e.Sequence-1)
		}
		if err != nil || pause > 0 {
			return pause, err
		}
		at = e.Sequence
	}
	return 0, s.move(work, at)
}

// missed tells of events that were purged before they could be sent.
func (s *sender) missed(at, next int64) {
	n := next - at - 1
	if n <= 0 || at == 0 && s.FromStart {
		return
	}
	s.log.Error("events purged from the trail before they were sent", "count", n, "before", next)
	s.mu.Lock()
	s.status.Missed += n
	s.mu.Unlock()
}

func (s *sender) move(ctx context.Context, to int64) error {
	if to <= s.cursor.Sequence {
		return nil
	}
	now := s.d.cfg.Now()
	if err := s.d.cfg.Cursors.MoveCursor(ctx, cursorName(s.Name), s.d.holder, to, now); err != nil {
		return err
	}
	s.cursor.Sequence, s.cursor.Moved = to, now
	return nil
}

// deliver makes one attempt and moves the cursor past the event, if it was
// taken or is to be given up. Otherwise it returns how long to wait.
func (s *sender) deliver(ctx, work context.Context, e jwtauth.Event) (time.Duration, error) {
	began := time.Now()
	err := s.post(work, e)
	s.measure(work, time.Since(began), err)
	now := s.d.cfg.Now()
	s.note(now, err)
	if err == nil {
		s.tries = 0
		return 0, s.move(work, e.Sequence)
	}
	if ctx.Err() != nil {
		return minPause, nil // cut short by us, so no count of the receiver's
	}
	s.tries++
	var f *failure
	errors.As(err, &f)
	since := e.Time
	if s.cursor.Moved.After(since) {
		since = s.cursor.Moved
	}
	if now.Sub(since) >= s.GiveUpAfter {
		return 0, s.giveUp(work, e, f)
	}
	pause := s.pause(f)
	s.log.Warn("webhook not delivered", "event", e.ID, "sequence", e.Sequence, "error", f.why, "tries", s.tries, "again_in", pause)
	if f.gone {
		s.log.Error("the receiver of a webhook says that it is gone: remove the endpoint")
	}
	return pause, nil
}

// measure tells how long an attempt took.
func (s *sender) measure(ctx context.Context, took time.Duration, err error) {
	if s.d.cfg.Metrics == nil {
		return
	}
	labels := []jwtauth.Label{{Name: jwtauth.LabelWebhook, Value: s.Name}}
	if err != nil {
		labels = append(labels, jwtauth.Label{Name: jwtauth.LabelError, Value: "not_delivered"})
	}
	s.d.cfg.Metrics.Measure(ctx, jwtauth.MetricWebhookDelivery, took.Seconds(), labels...)
}

// note keeps the outcome for Status.
func (s *sender) note(now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.status.LastError = err.Error()
		return
	}
	s.status.LastError, s.status.LastSuccess = "", now
}

func (s *sender) giveUp(ctx context.Context, e jwtauth.Event, f *failure) error {
	err := s.d.cfg.Cursors.PutDeadLetter(ctx, jwtauth.DeadLetter{Cursor: cursorName(s.Name), Sequence: e.Sequence,
		EventID: e.ID, Reason: f.why, Time: s.d.cfg.Now()})
	if err != nil {
		return err
	}
	s.tries = 0
	s.log.Error("webhook given up", "event", e.ID, "sequence", e.Sequence, "error", f.why)
	return s.move(ctx, e.Sequence)
}

// pause is how long to wait after a failure.
func (s *sender) pause(f *failure) time.Duration {
	if f.gone {
		return gonePause
	}
	return max(jitter(backoff(s.tries, maxPause)), min(f.retryAfter, maxPause))
}

// backoff doubles from a second on.
func backoff(tries int, most time.Duration) time.Duration {
	return min(minPause<<min(tries-1, 20), most)
}

// jitter returns a time between the half of d and d, so that many senders don't
// come back at the same moment.
func jitter(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d/2)+1))
	if err != nil {
		return d
	}
	return d - time.Duration(n.Int64())
}
