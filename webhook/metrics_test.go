package webhook_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// measured keeps what it is told, by metric.
type measured struct {
	mu     sync.Mutex
	values map[string][]float64
	labels map[string][]string
}

func (m *measured) Measure(_ context.Context, metric jwtauth.Metric, value float64, labels ...jwtauth.Label) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values, m.labels = map[string][]float64{}, map[string][]string{}
	}
	m.values[metric.Name] = append(m.values[metric.Name], value)
	for _, l := range labels {
		m.labels[metric.Name] = append(m.labels[metric.Name], l.Name+"="+l.Value)
	}
}

func TestBacklogAndAttemptsAreMeasured(t *testing.T) {
	run(t, func(t *testing.T, a *jwtauth.Auth, store *jwtauth.MemoryStore, s *sink) {
		sink := new(measured)
		d := must(webhook.New(a, webhook.Config{Cursors: store, Endpoints: []webhook.Endpoint{endpoint()}, Transport: s.transport(),
			Logger: slog.New(slog.DiscardHandler), Metrics: sink}))(t)
		happen(t, a, 20)
		s.answers(status(http.StatusBadGateway))
		stop := start(t, d)
		time.Sleep(time.Minute)
		s.answers(nil)
		time.Sleep(5 * time.Minute)
		stop()
		sink.mu.Lock()
		defer sink.mu.Unlock()
		backlog, attempts := sink.values[jwtauth.MetricWebhookBacklog.Name], sink.labels[jwtauth.MetricWebhookDelivery.Name]
		if len(backlog) < 20 || slices.Max(backlog) != 20 || backlog[len(backlog)-1] != 0 {
			t.Errorf("backlog %v, want 20 that become 0", backlog)
		}
		if !slices.Contains(attempts, "error.type=not_delivered") || len(sink.values[jwtauth.MetricWebhookDelivery.Name]) < 22 {
			t.Errorf("attempts %v", attempts)
		}
	})
}
