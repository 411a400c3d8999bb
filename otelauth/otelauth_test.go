package otelauth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/authtest"
	"github.com/go-jwtauth/jwtauth/otelauth"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const password = "correct horse battery staple"

// site is an Auth that is watched by the SDK.
type site struct {
	auth   *jwtauth.Auth
	reader *sdkmetric.ManualReader
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
}

func newSite(t testing.TB, change ...func(*jwtauth.Config)) site {
	t.Helper()
	s := site{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	telemetry, err := otelauth.New(otelauth.Config{
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)),
		TracerProvider: s.tracer,
	})
	if err != nil {
		t.Fatal(err)
	}
	plain := func(cfg *jwtauth.Config) {
		cfg.Metrics, cfg.Now, cfg.Mail, cfg.Limits = telemetry, nil, jwtauth.MailConfig{}, jwtauth.LimitConfig{}
	}
	s.auth = authtest.New(t, append([]func(*jwtauth.Config){plain}, change...)...).Auth
	return s
}

// use registers alice, logs her in and fails to, within a span of the host.
func (s site) use(t testing.TB) *jwtauth.Grant {
	t.Helper()
	ctx, span := s.tracer.Tracer("host").Start(context.Background(), "POST /auth/")
	defer span.End()
	g, err := s.auth.Register(ctx, jwtauth.Registration{Username: "alice", Email: "alice@example.test", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.auth.Login(ctx, jwtauth.Credentials{Login: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.auth.Login(ctx, jwtauth.Credentials{Login: "alice", Password: "wrong"}); err == nil {
		t.Fatal("a wrong password logged in")
	}
	return g
}

// collect returns the metrics by name.
func (s site) collect(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	if err := s.auth.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var data metricdata.ResourceMetrics
	if err := s.reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	byName := map[string]metricdata.Metrics{}
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != otelauth.Scope {
			t.Errorf("scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

func TestMetricsReachTheSDK(t *testing.T) {
	s := newSite(t)
	s.use(t)
	got := s.collect(t)

	logins := got["jwtauth.login.duration"]
	h, ok := logins.Data.(metricdata.Histogram[float64])
	if !ok || logins.Unit != "s" || logins.Description == "" {
		t.Fatalf("logins: %+v", logins)
	}
	counts := map[string]uint64{}
	for _, p := range h.DataPoints {
		counts[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
		if len(p.Bounds) < 10 || p.Bounds[0] > 1e-6 {
			t.Errorf("buckets begin late: %v", p.Bounds)
		}
	}
	for _, want := range []string{"jwtauth.event=register", "jwtauth.event=login", "error.type=invalid_credentials,jwtauth.event=login"} {
		if counts[want] != 1 {
			t.Errorf("%s: %d logins, want 1; all: %v", want, counts[want], counts)
		}
	}
	refusals, ok := got["jwtauth.refusals"].Data.(metricdata.Sum[int64])
	if !ok || !refusals.IsMonotonic || len(refusals.DataPoints) != 1 || refusals.DataPoints[0].Value != 1 {
		t.Errorf("refusals: %+v", got["jwtauth.refusals"])
	}
	active, ok := got["jwtauth.hash.active"].Data.(metricdata.Gauge[int64])
	if !ok || len(active.DataPoints) != 1 || active.DataPoints[0].Value != 0 {
		t.Errorf("active hashes: %+v", got["jwtauth.hash.active"])
	}
}

func TestSpansHangBelowThatOfTheRequest(t *testing.T) {
	s := newSite(t)
	s.use(t)
	ended := s.spans.Ended()
	host := ended[len(ended)-1]
	names := []string{}
	for _, span := range ended[:len(ended)-1] {
		if span.Parent().SpanID() != host.SpanContext().SpanID() {
			t.Errorf("%s is not below the request", span.Name())
		}
		if span.Status().Code != codes.Unset || len(span.Events()) > 0 || len(span.Attributes()) > 0 {
			t.Errorf("%s: %v %v %v", span.Name(), span.Status(), span.Events(), span.Attributes())
		}
		names = append(names, span.Name())
	}
	for _, want := range []string{"jwtauth.hash", "jwtauth.store.UserByLogin", "jwtauth.store.CreateSession", "jwtauth.store.Append"} {
		if !slices.Contains(names, want) {
			t.Errorf("no span %s among %q", want, names)
		}
	}
}

func TestNoSpanWithoutARequest(t *testing.T) {
	s := newSite(t)
	if _, err := s.auth.Login(context.Background(), jwtauth.Credentials{Login: "alice", Password: "wrong"}); err == nil {
		t.Fatal("nobody logged in")
	}
	if spans := s.spans.Ended(); len(spans) != 0 {
		t.Errorf("%d spans, want none", len(spans))
	}
}

// brokenUsers answers nothing, and says more than it should.
type brokenUsers struct{ jwtauth.UserStore }

func (brokenUsers) UserByLogin(_ context.Context, key string) (jwtauth.User, error) {
	return jwtauth.User{}, errors.New("no answer for " + key + " with hunter2")
}

func TestFaultHasACodeAndNoText(t *testing.T) {
	s := newSite(t, func(cfg *jwtauth.Config) { cfg.Users = brokenUsers{cfg.Store} })
	ctx, request := s.tracer.Tracer("host").Start(context.Background(), "POST /auth/")
	if _, err := s.auth.Login(ctx, jwtauth.Credentials{Login: "alice", Password: password}); jwtauth.Code(err) != "service_unavailable" {
		t.Fatal(err)
	}
	request.End()
	found := false
	for _, span := range s.spans.Ended() {
		if span.Name() != "jwtauth.store.UserByLogin" {
			continue
		}
		found = true
		if span.Status().Code != codes.Error || span.Status().Description != "" || len(span.Events()) != 0 {
			t.Errorf("status %+v, events %+v", span.Status(), span.Events())
		}
		if want := []attribute.KeyValue{attribute.String("error.type", "service_unavailable")}; !slices.Equal(span.Attributes(), want) {
			t.Errorf("attributes %v, want %v", span.Attributes(), want)
		}
	}
	if !found {
		t.Error("no span for the call that failed")
	}
}

func TestNothingSecretInAttributes(t *testing.T) {
	s := newSite(t)
	g := s.use(t)
	text := fmt.Sprintf("%+v", s.collect(t))
	for _, span := range tracetest.SpanStubsFromReadOnlySpans(s.spans.Ended()) {
		text += fmt.Sprintf("%+v", span)
	}
	for name, secret := range map[string]string{"password": password, "wrong password": "wrong", "name": "alice", "hash": string(g.User.PasswordHash),
		"access token": g.AccessToken, "refresh token": g.RefreshToken, "session": g.Session.ID, "token id": g.TokenID} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s is told", name)
		}
	}
}

// refusing makes no histogram.
type refusing struct{ metricnoop.MeterProvider }

type refusingMeter struct{ metricnoop.Meter }

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

func (refusingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errors.New("no histograms here")
}

func TestRefusedInstrumentsAreReportedTogether(t *testing.T) {
	_, err := otelauth.New(otelauth.Config{MeterProvider: refusing{}})
	if err == nil || !strings.Contains(err.Error(), "jwtauth.login.duration") || !strings.Contains(err.Error(), "jwtauth.verify.duration") {
		t.Errorf("error %v does not name what was refused", err)
	}
}

func TestUnknownMetricIsDropped(t *testing.T) {
	telemetry, err := otelauth.New(otelauth.Config{}) // the global providers, which do nothing here
	if err != nil {
		t.Fatal(err)
	}
	telemetry.Measure(context.Background(), jwtauth.Metric{Name: "host.own"}, 1)
}
