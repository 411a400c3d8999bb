package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// Metrics receives what is measured. Package otelauth has one for
// OpenTelemetry; one for anything else is a switch over [Metric.Kind].
//
// An [Auth] and a [Verifier] call it behind the requests, one measurement at a
// time, and contain it: see [ContainMetrics]. A value that implements [Tracer] as
// well gets spans.
type Metrics interface {
	// Measure takes one measurement. The context has the values of the
	// request, such as its span, and is never cancelled. The labels are few
	// words that this package chooses: nothing in them comes from a request.
	Measure(ctx context.Context, m Metric, value float64, labels ...Label)
}

// Tracer is an optional part of a [Metrics]: spans around each call of a store,
// named "jwtauth.store." and the method, and around each password hash,
// "jwtauth.hash".
type Tracer interface {
	// Start begins a span and returns a context that carries it, and what
	// ends it. end gets nil, also where a record is absent or a comparison
	// was lost, or else [ErrUnavailable] without a cause: what a driver says
	// may name people. Start and end are called on the path of a request and
	// must not block; a panic of theirs is contained.
	Start(ctx context.Context, name string) (spanned context.Context, end func(error))
}

// Metric is something that is measured. Names, units and labels follow the
// semantic conventions of OpenTelemetry.
type Metric struct {
	// Name is for example "jwtauth.login.duration".
	Name string
	// Kind says what a value means.
	Kind MetricKind
	// Unit is in UCUM: "s" for seconds, or a word in braces for a number of
	// things, for example "{request}".
	Unit string
	// Description is a sentence for people.
	Description string
}

// MetricKind says what the values of a [Metric] mean.
type MetricKind int

// The kinds of metrics.
const (
	// KindCounter adds values up. They are never negative.
	KindCounter MetricKind = iota
	// KindGauge keeps the latest value.
	KindGauge
	// KindHistogram looks at how values are spread; their number counts what
	// was measured.
	KindHistogram
)

// Label tells measurements of one [Metric] apart.
type Label struct{ Name, Value string }

// The names of labels. Each has a small, closed set of values.
const (
	// LabelError is the code or the reason of a refusal or a fault, as
	// [Event.Reason] has it, or "_OTHER" for one that is not ours. Success
	// has no such label.
	LabelError = "error.type"
	// LabelEvent is one of the Event… constants.
	LabelEvent = "jwtauth.event"
	// LabelEndpoint is the [Route.Name] of an endpoint, or "host" for the
	// host's own routes.
	LabelEndpoint = "jwtauth.endpoint"
	// LabelWebhook is the name of a webhook's endpoint, as it was configured.
	LabelWebhook = "jwtauth.webhook"
)

// otherError is what OpenTelemetry calls an error outside of the known ones.
const otherError = "_OTHER"

// What is measured. Treat these as constants.
var (
	// MetricLogin has [LabelEvent], which tells the ways to a session apart,
	// and [LabelError].
	MetricLogin = Metric{"jwtauth.login.duration", KindHistogram, "s", "Duration of logins, and of all else that opens a session."}
	// MetricRefresh has [LabelError].
	MetricRefresh = Metric{"jwtauth.refresh.duration", KindHistogram, "s", "Duration of refreshes."}
	// MetricVerify has [LabelError].
	MetricVerify = Metric{"jwtauth.verify.duration", KindHistogram, "s", "Duration of checks of an access token."}
	// MetricRequest has [LabelEndpoint] and [LabelError].
	MetricRequest = Metric{"jwtauth.request.duration", KindHistogram, "s", "Duration of requests to the endpoints."}
	// MetricRefusals has [LabelEvent] and [LabelError]. It counts what the
	// audit trail records, also what is summed up there.
	MetricRefusals = Metric{"jwtauth.refusals", KindCounter, "{refusal}", "Number of recorded refusals."}
	// MetricHash has no label.
	MetricHash = Metric{"jwtauth.hash.duration", KindHistogram, "s", "Duration of single password hashes, without the wait for a slot."}
	// MetricHashActive has no label.
	MetricHashActive = Metric{"jwtauth.hash.active", KindGauge, "{hash}", "Number of hashing slots in use."}
	// MetricHashShed has no label.
	MetricHashShed = Metric{"jwtauth.hash.shed", KindCounter, "{request}", "Number of requests that got no hashing slot."}
	// MetricLimited has [LabelEndpoint].
	MetricLimited = Metric{"jwtauth.ratelimit.hits", KindCounter, "{request}", "Number of requests past a limit."}
	// MetricLocked has no label.
	MetricLocked = Metric{"jwtauth.lockout.hits", KindCounter, "{attempt}", "Number of passwords that were not looked at, after too many wrong ones."}
	// MetricWebhookBacklog has [LabelWebhook]. Package webhook measures it.
	MetricWebhookBacklog = Metric{"jwtauth.webhook.backlog", KindGauge, "{event}", "Number of events that wait for delivery."}
	// MetricWebhookDelivery has [LabelWebhook] and [LabelError]. Package
	// webhook measures it.
	MetricWebhookDelivery = Metric{"jwtauth.webhook.delivery.duration", KindHistogram, "s", "Duration of attempts to deliver events."}
)

// AllMetrics returns everything that this module measures, for whoever has to
// know before the first measurement.
func AllMetrics() []Metric {
	return []Metric{MetricLogin, MetricRefresh, MetricVerify, MetricRequest, MetricRefusals, MetricHash, MetricHashActive,
		MetricHashShed, MetricLimited, MetricLocked, MetricWebhookBacklog, MetricWebhookDelivery}
}

// ContainMetrics returns a Metrics that gives what it gets on to sink, and never
// blocks or panics, whatever sink does. Measurements wait in a short queue; while
// sink is too slow, those that don't fit are dropped, and one line in the log
// says so. An [Auth] does this with [Config.Metrics]; packages that measure on
// their own do it with theirs. A nil sink drops everything.
func ContainMetrics(sink Metrics, log *slog.Logger) Metrics { return newMeter(sink, log) }

// meter is what ContainMetrics makes. A nil meter measures nothing, and its
// methods return at once.
type meter struct {
	sink    Metrics
	tracer  Tracer // nil: no spans
	log     *slog.Logger
	queue   chan measurement
	working atomic.Bool
	// saidSlow and saidPanic bound the log: a sink that fails once is likely
	// to fail each time.
	saidSlow, saidPanic atomic.Bool
}

// measurement is one that waits.
type measurement struct {
	ctx    context.Context
	metric Metric
	value  float64
	labels []Label
	// read gives the value instead, at the time of delivery: the last
	// measurement of a gauge is then the latest, whoever overtook whom.
	read func() float64
	// flushed is closed when its turn comes, instead of being measured.
	flushed chan struct{}
}

const meterQueue = 4096

// newMeter takes a sink that is contained already as it is.
func newMeter(sink Metrics, log *slog.Logger) *meter {
	if m, ok := sink.(*meter); ok || sink == nil {
		return m
	}
	if log == nil {
		log = slog.Default()
	}
	m := &meter{sink: sink, log: log, queue: make(chan measurement, meterQueue)}
	m.tracer, _ = sink.(Tracer)
	return m
}

// Measure implements [Metrics].
func (m *meter) Measure(ctx context.Context, metric Metric, value float64, labels ...Label) {
	if m != nil {
		m.post(measurement{ctx: ctx, metric: metric, value: value, labels: labels})
	}
}

// post queues a measurement, or drops it. The goroutine that delivers lives for
// as long as there is something to deliver.
func (m *meter) post(x measurement) {
	x.ctx = context.WithoutCancel(x.ctx)
	select {
	case m.queue <- x:
	default:
		if m.saidSlow.CompareAndSwap(false, true) {
			m.log.Warn("the metrics are too slow: measurements are dropped")
		}
		return
	}
	if m.working.CompareAndSwap(false, true) {
		go m.work()
	}
}

func (m *meter) work() {
	for {
		select {
		case x := <-m.queue:
			m.deliver(x)
			continue
		default:
		}
		m.working.Store(false)
		// One that came just before that line has started nobody.
		if len(m.queue) == 0 || !m.working.CompareAndSwap(false, true) {
			return
		}
	}
}

func (m *meter) deliver(x measurement) {
	defer m.contain()
	switch {
	case x.flushed != nil:
		close(x.flushed)
		return
	case x.read != nil:
		x.value = x.read()
	}
	m.sink.Measure(x.ctx, x.metric, x.value, x.labels...)
}

// contain ends a panic of the host's code.
func (m *meter) contain() {
	if p := recover(); p != nil && m.saidPanic.CompareAndSwap(false, true) {
		m.log.Error("the metrics panicked, and may do so again unsaid", "panic", fmt.Sprint(p))
	}
}

// drain waits until what was measured before has been delivered. It does not
// wait for long: nobody should be kept by a number.
func (m *meter) drain(ctx context.Context) {
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	flushed := make(chan struct{})
	m.post(measurement{ctx: ctx, flushed: flushed})
	select {
	case <-flushed:
	case <-ctx.Done():
	}
}

// timer measures how long something takes, by the clock of the process: that of
// the configuration may stand still.
type timer struct {
	meter  *meter
	ctx    context.Context
	metric Metric
	begun  time.Time
	labels []Label
}

func (m *meter) start(ctx context.Context, metric Metric, labels ...Label) timer {
	if m == nil {
		return timer{}
	}
	return timer{m, ctx, metric, time.Now(), labels}
}

// login times what opens a session, by the event that it leaves.
func (m *meter) login(ctx context.Context, event string) timer {
	if m == nil {
		return timer{}
	}
	return m.start(ctx, MetricLogin, Label{LabelEvent, event})
}

// request times an endpoint.
func (m *meter) request(ctx context.Context, endpoint string) timer {
	if m == nil {
		return timer{}
	}
	return m.start(ctx, MetricRequest, Label{LabelEndpoint, endpoint})
}

// end takes a pointer so that it can be deferred.
func (t timer) end(err *error) {
	if t.meter == nil {
		return
	}
	took := time.Since(t.begun).Seconds()
	if *err != nil {
		t.labels = append(t.labels, Label{LabelError, errorType(*err)})
	}
	t.meter.Measure(t.ctx, t.metric, took, t.labels...)
}

// errorType is the reason of an error if it is one of ours. A hook or a store
// may return any other, even one for each user.
func errorType(err error) string {
	if r := Reason(err); r != "" {
		return r
	}
	if code := Code(err); knownCode(code) {
		return code
	}
	return otherError
}

func (m *meter) refused(ctx context.Context, event string, err error) {
	if m != nil {
		m.Measure(ctx, MetricRefusals, 1, Label{LabelEvent, event}, Label{LabelError, errorType(err)})
	}
}

// limited counts a request past the limit of a route.
func (m *meter) limited(ctx context.Context, route string) {
	if m == nil {
		return
	}
	if strings.HasPrefix(route, hostRoute) {
		route = "host"
	}
	m.Measure(ctx, MetricLimited, 1, Label{LabelEndpoint, route})
}

// locked counts err if it says that a password was not looked at.
func (m *meter) locked(ctx context.Context, err error) {
	if Reason(err) == ReasonLocked {
		m.Measure(ctx, MetricLocked, 1)
	}
}

// shed counts err if it says that there was no slot.
func (m *meter) shed(ctx context.Context, err error) {
	if errors.Is(err, ErrOverloaded) {
		m.Measure(ctx, MetricHashShed, 1)
	}
}

// hashing tells that a slot was taken or given back.
func (m *meter) hashing(ctx context.Context, g *governor) {
	if m != nil {
		m.post(measurement{ctx: ctx, metric: MetricHashActive, read: func() float64 { return float64(g.busy()) }})
	}
}

// hash measures one computation, which ends with what it returns.
func (m *meter) hash(ctx context.Context) (done func()) {
	if m == nil {
		return func() {}
	}
	ctx, end := m.span(ctx, "jwtauth.hash")
	t := m.start(ctx, MetricHash)
	return func() {
		var none error
		t.end(&none)
		end(nil)
	}
}

// traces reports whether anybody wants spans.
func (m *meter) traces() bool { return m != nil && m.tracer != nil }

// span begins one, where there is a tracer that does not fail.
func (m *meter) span(ctx context.Context, name string) (spanned context.Context, end func(error)) {
	spanned, end = ctx, func(error) {}
	if !m.traces() {
		return spanned, end
	}
	defer m.contain()
	c, finish := m.tracer.Start(ctx, name)
	if c == nil || finish == nil {
		return spanned, end
	}
	return c, func(err error) {
		defer m.contain()
		finish(spanFault(err))
	}
}

// spanFault is what a span may know of an error.
func spanFault(err error) error {
	if e, ok := asError(err); err == nil || ok && e.Code != ErrUnavailable.Code {
		return nil
	}
	return ErrUnavailable
}
