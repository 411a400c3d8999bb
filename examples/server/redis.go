package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/redisstore"
)

// useRedis puts what several servers share, and what comes and goes quickly, into
// Redis; accounts and the audit trail stay in the database. It says what Redis
// may forget, and does not start without it.
func (a *app) useRedis(ctx context.Context, o options, cfg *jwtauth.Config) error {
	a.closeRedis = func() error { return nil }
	if o.redis == "" {
		if o.staleness != 0 {
			return errors.New("-staleness needs -redis")
		}
		return nil
	}
	client, err := redisstore.NewClient(o.redis)
	if err != nil {
		return fmt.Errorf("-redis: %w", err)
	}
	store, err := redisstore.Open(client, redisstore.Options{})
	if err == nil {
		err = a.checkRedis(ctx, store)
	}
	if err == nil {
		cfg.Revocations, err = revocations(ctx, store, o.staleness, cfg)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("-redis: %w", err), client.Close())
	}
	cfg.Sessions.Store, cfg.Codes, cfg.Counters, cfg.Limits.Limiter = store, store, store, store
	a.closeRedis = client.Close
	return nil
}

func (a *app) checkRedis(ctx context.Context, store *redisstore.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	warnings, err := store.Check(ctx)
	for _, text := range warnings {
		a.note("warning: %s", text)
	}
	return err
}

// revocations is the store itself, or a view of it that remembers answers.
func revocations(ctx context.Context, store *redisstore.Store, staleness time.Duration, cfg *jwtauth.Config) (jwtauth.RevocationStore, error) {
	if staleness == 0 {
		return store, nil
	}
	view, err := jwtauth.NewRevocationView(store, jwtauth.RevocationViewConfig{
		Staleness: staleness, Feed: store.Feed(), Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	go func() { _ = view.Run(ctx) }() // until ctx ends; then every check asks
	return view, nil
}
