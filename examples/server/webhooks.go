package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/webhook"
)

// hook is a receiver of events.
type hook struct {
	Name                 string   `json:"name"`
	URL                  string   `json:"url"`
	Secrets              []string `json:"secrets"`
	Events               []string `json:"events"`
	Ports                []int    `json:"ports"`
	InsecureAllowHTTP    bool     `json:"insecure_allow_http"`
	InsecureAllowPrivate bool     `json:"insecure_allow_private"`
	GiveUpHours          int      `json:"give_up_hours"`
}

func (h hook) endpoint() webhook.Endpoint {
	e := webhook.Endpoint{Name: h.Name, URL: h.URL, Events: h.Events, Ports: h.Ports, InsecureAllowHTTP: h.InsecureAllowHTTP,
		InsecureAllowPrivate: h.InsecureAllowPrivate, GiveUpAfter: time.Duration(h.GiveUpHours) * time.Hour}
	for _, s := range h.Secrets {
		e.Secrets = append(e.Secrets, jwtauth.Secret(s))
	}
	return e
}

// openWebhooks makes what sends events to the receivers of the file.
func (f file) openWebhooks(auth *jwtauth.Auth, cursors jwtauth.CursorStore, log *slog.Logger) (*webhook.Dispatcher, error) {
	cfg := webhook.Config{Cursors: cursors, Logger: log}
	for _, h := range f.Webhooks {
		cfg.Endpoints = append(cfg.Endpoints, h.endpoint())
	}
	return webhook.New(auth, cfg)
}

// sendWebhooks sends until ctx ends. wait returns when the last attempt has.
func (a *app) sendWebhooks(ctx context.Context) (wait func() error) {
	ended := make(chan error, 1)
	go func() { ended <- a.hooks.Run(ctx) }()
	return func() error { return <-ended }
}
