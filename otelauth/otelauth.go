// Package otelauth gives what package jwtauth measures to OpenTelemetry:
//
//	telemetry, err := otelauth.New(otelauth.Config{})
//	cfg.Metrics = telemetry // jwtauth.Config
//
// It uses the API of OpenTelemetry alone. Which SDK and which exporters are
// behind it is up to the program, which hands its providers over in [Config] or
// sets the global ones.
//
// # Metrics
//
// Each [jwtauth.Metric] becomes an instrument of the same name: a counter, a
// gauge, or a histogram with buckets from a microsecond to ten seconds, since a
// token is checked in one and a password in the other. [jwtauth.AllMetrics] lists
// them. Durations are in seconds; the number of logins is the count of
// jwtauth.login.duration, and those that failed have error.type.
//
// # Spans
//
// Each call of a store and each password hash becomes a span, below the span that
// the context of the request carries, for example one of otelhttp. Where it
// carries none, as in work behind the requests, there is no span: it would be a
// trace of its own, several times a second.
//
// # What is not told
//
// Attributes are words that package jwtauth chooses: names of endpoints, events
// and reasons. Names of users, addresses, tokens, and the text of errors are in
// none of them.
package otelauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-jwtauth/jwtauth"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name of the instrumentation.
const Scope = "github.com/go-jwtauth/jwtauth/otelauth"

// Config says where measurements and spans go.
type Config struct {
	// MeterProvider makes the instruments. Default: the global one.
	MeterProvider metric.MeterProvider
	// TracerProvider makes the spans. Default: the global one. For none, give
	// that of go.opentelemetry.io/otel/trace/noop.
	TracerProvider trace.TracerProvider
}

// Telemetry is a [jwtauth.Metrics] and a [jwtauth.Tracer]. It is safe for
// concurrent use, by any number of services.
type Telemetry struct {
	instruments map[string]func(ctx context.Context, value float64, attrs metric.MeasurementOption)
	tracer      trace.Tracer
}

var (
	_ jwtauth.Metrics = (*Telemetry)(nil)
	_ jwtauth.Tracer  = (*Telemetry)(nil)
)

// New makes an instrument for each metric of package jwtauth. An error comes
// from the provider, and says which ones it refused.
func New(cfg Config) (*Telemetry, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	t := &Telemetry{tracer: cfg.TracerProvider.Tracer(Scope),
		instruments: make(map[string]func(context.Context, float64, metric.MeasurementOption))}
	meter := cfg.MeterProvider.Meter(Scope)
	var errs []error
	for _, m := range jwtauth.AllMetrics() {
		record, err := instrument(meter, m)
		if err != nil {
			errs = append(errs, fmt.Errorf("otelauth: %s: %w", m.Name, err))
			continue
		}
		t.instruments[m.Name] = record
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// buckets are the boundaries of histograms, in seconds. The defaults of the SDK
// begin at 5 ms.
var buckets = []float64{1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// instrument makes the one for a metric, and returns what records with it.
func instrument(meter metric.Meter, m jwtauth.Metric) (func(context.Context, float64, metric.MeasurementOption), error) {
	unit, text := metric.WithUnit(m.Unit), metric.WithDescription(m.Description)
	switch m.Kind {
	case jwtauth.KindCounter:
		c, err := meter.Int64Counter(m.Name, unit, text)
		return func(ctx context.Context, v float64, attrs metric.MeasurementOption) { c.Add(ctx, int64(v), attrs) }, err
	case jwtauth.KindGauge:
		g, err := meter.Int64Gauge(m.Name, unit, text)
		return func(ctx context.Context, v float64, attrs metric.MeasurementOption) { g.Record(ctx, int64(v), attrs) }, err
	case jwtauth.KindHistogram:
		h, err := meter.Float64Histogram(m.Name, unit, text, metric.WithExplicitBucketBoundaries(buckets...))
		return func(ctx context.Context, v float64, attrs metric.MeasurementOption) { h.Record(ctx, v, attrs) }, err
	}
	return nil, errors.New("a kind of metric that this version does not know")
}

// Measure implements [jwtauth.Metrics]. A metric that [jwtauth.AllMetrics] does
// not list is dropped.
func (t *Telemetry) Measure(ctx context.Context, m jwtauth.Metric, value float64, labels ...jwtauth.Label) {
	record, ok := t.instruments[m.Name]
	if !ok {
		return
	}
	attrs := make([]attribute.KeyValue, len(labels))
	for i, l := range labels {
		attrs[i] = attribute.String(l.Name, l.Value)
	}
	record(ctx, value, metric.WithAttributeSet(attribute.NewSet(attrs...)))
}

// Start implements [jwtauth.Tracer].
func (t *Telemetry) Start(ctx context.Context, name string) (context.Context, func(error)) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.String(jwtauth.LabelError, jwtauth.Code(err)))
		}
		span.End()
	}
}
