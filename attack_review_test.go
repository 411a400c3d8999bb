package jwtauth_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// emptiedStore is one whose records somebody deleted, and who wrote the signed
// end of the chain where its signed beginning was.
type emptiedStore struct {
	*jwtauth.MemoryStore
	emptied bool
}

func (s *emptiedStore) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	anchor, head, err = s.MemoryStore.AuditMarks(ctx)
	if s.emptied {
		anchor = head
	}
	return anchor, head, err
}

func TestTrailEmptiedBehindACopiedMarkIsBroken(t *testing.T) {
	store := &emptiedStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "ann")
	if _, err := a.VerifyTrail(context.Background()); err != nil {
		t.Fatal(err)
	}
	store.emptied = true
	if _, err := a.VerifyTrail(context.Background()); !errors.Is(err, jwtauth.ErrTrailBroken) {
		t.Errorf("all records are gone and the end is the beginning: VerifyTrail = %v", err)
	}
}

// backdatedStore is one where somebody made all records old, for the retention
// to remove them.
type backdatedStore struct {
	*jwtauth.MemoryStore
	backdated bool
	purges    atomic.Int32
}

func (s *backdatedStore) Follow(ctx context.Context, after int64, limit int) ([]jwtauth.AuditRecord, error) {
	list, err := s.MemoryStore.Follow(ctx, after, limit)
	for i := range list {
		if s.backdated {
			list[i].Time = epoch.AddDate(-10, 0, 0)
		}
	}
	return list, err
}

func (s *backdatedStore) PurgeAudit(ctx context.Context, anchor jwtauth.AuditMark) error {
	s.purges.Add(1)
	return s.MemoryStore.PurgeAudit(ctx, anchor)
}

func TestRecordsThatWereBackdatedAreNotPurged(t *testing.T) {
	store := &backdatedStore{MemoryStore: jwtauth.NewMemoryStore()}
	a, c := newAuth(t, func(cfg *jwtauth.Config) { cfg.Store = store })
	register(t, a, "ann")
	if _, err := a.VerifyTrail(context.Background()); err != nil {
		t.Fatal(err)
	}
	store.backdated = true
	c.Add(2 * time.Hour)
	if _, err := a.VerifyTrail(context.Background()); !errors.Is(err, jwtauth.ErrTrailBroken) {
		t.Errorf("every record has another time: VerifyTrail = %v", err)
	}
	if n := store.purges.Load(); n != 0 {
		t.Errorf("what was tampered with was purged, in %d steps, under a signed anchor", n)
	}
}

func TestMapThatAHookSharesIsLeftAsItIs(t *testing.T) {
	shared := map[string]any{"id": 1, "no name": 2, "plan": "free"}
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Hooks.LoginResponse = func(context.Context, jwtauth.Grant) map[string]any { return shared }
	})
	register(t, a, "ann")
	r := post(t, a.Handler(), "/login", map[string]any{"username": "ann", "password": testPassword})
	if r.status != 200 || r.str("plan") != "free" {
		t.Errorf("login with the hook's member: %d %s", r.status, r.text)
	}
	if len(shared) != 3 {
		t.Errorf("the hook's own map was changed: %v", shared)
	}
}
