package jwtauth_test

import (
	"context"
	"errors"
	"testing"

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
