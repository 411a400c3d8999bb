package jwtauth

import (
	"context"
	"time"
)

// The stores below put a span around each call. They exist only where there is
// a tracer. Optional parts of a store are looked for in the configured one, as
// Auth.cfg has it, which these would hide.

// traced returns a copy of cfg whose stores make spans, where anybody wants them.
func (cfg Config) traced(m *meter) Config {
	if m == nil || m.tracer == nil {
		return cfg
	}
	cfg.Users = tracedUsers{cfg.Users, m}
	cfg.Sessions.Store = tracedSessions{cfg.Sessions.Store, m}
	cfg.Revocations = tracedRevocations{cfg.Revocations, m}
	cfg.Codes = tracedCodes{cfg.Codes, m}
	cfg.Counters = tracedCounters{cfg.Counters, m}
	cfg.Audit.Store = tracedAudit{cfg.Audit.Store, m}
	return cfg
}

// inSpan calls a method of a store.
func inSpan[T any](ctx context.Context, m *meter, method string, call func(context.Context) (T, error)) (v T, err error) {
	ctx, end := m.span(ctx, "jwtauth.store."+method)
	defer func() { end(err) }()
	return call(ctx)
}

// runInSpan calls a method that has nothing to return.
func runInSpan(ctx context.Context, m *meter, method string, call func(context.Context) error) error {
	_, err := inSpan(ctx, m, method, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

type tracedUsers struct {
	UserStore
	meter *meter
}

func (s tracedUsers) CreateUser(ctx context.Context, u User) (User, error) {
	return inSpan(ctx, s.meter, "CreateUser", func(ctx context.Context) (User, error) { return s.UserStore.CreateUser(ctx, u) })
}

func (s tracedUsers) UserByID(ctx context.Context, id string) (User, error) {
	return inSpan(ctx, s.meter, "UserByID", func(ctx context.Context) (User, error) { return s.UserStore.UserByID(ctx, id) })
}

func (s tracedUsers) UserByLogin(ctx context.Context, key string) (User, error) {
	return inSpan(ctx, s.meter, "UserByLogin", func(ctx context.Context) (User, error) { return s.UserStore.UserByLogin(ctx, key) })
}

func (s tracedUsers) UpdateUser(ctx context.Context, u User) (User, error) {
	return inSpan(ctx, s.meter, "UpdateUser", func(ctx context.Context) (User, error) { return s.UserStore.UpdateUser(ctx, u) })
}

func (s tracedUsers) DeleteUser(ctx context.Context, id string) error {
	return runInSpan(ctx, s.meter, "DeleteUser", func(ctx context.Context) error { return s.UserStore.DeleteUser(ctx, id) })
}

type tracedSessions struct {
	SessionStore
	meter *meter
}

func (s tracedSessions) CreateSession(ctx context.Context, x Session, limit SessionLimit) ([]Session, error) {
	return inSpan(ctx, s.meter, "CreateSession", func(ctx context.Context) ([]Session, error) { return s.SessionStore.CreateSession(ctx, x, limit) })
}

func (s tracedSessions) Session(ctx context.Context, id string) (Session, error) {
	return inSpan(ctx, s.meter, "Session", func(ctx context.Context) (Session, error) { return s.SessionStore.Session(ctx, id) })
}

func (s tracedSessions) AdvanceSession(ctx context.Context, adv SessionAdvance) (x Session, moved bool, err error) {
	err = runInSpan(ctx, s.meter, "AdvanceSession", func(ctx context.Context) (err error) {
		x, moved, err = s.SessionStore.AdvanceSession(ctx, adv)
		return err
	})
	return x, moved, err
}

func (s tracedSessions) EndSession(ctx context.Context, id string) error {
	return runInSpan(ctx, s.meter, "EndSession", func(ctx context.Context) error { return s.SessionStore.EndSession(ctx, id) })
}

func (s tracedSessions) EndSessions(ctx context.Context, userID, except string) ([]string, error) {
	return inSpan(ctx, s.meter, "EndSessions", func(ctx context.Context) ([]string, error) { return s.SessionStore.EndSessions(ctx, userID, except) })
}

func (s tracedSessions) Sessions(ctx context.Context, userID string, now time.Time) ([]Session, error) {
	return inSpan(ctx, s.meter, "Sessions", func(ctx context.Context) ([]Session, error) { return s.SessionStore.Sessions(ctx, userID, now) })
}

type tracedRevocations struct {
	RevocationStore
	meter *meter
}

func (s tracedRevocations) Revoke(ctx context.Context, r Revocation) error {
	return runInSpan(ctx, s.meter, "Revoke", func(ctx context.Context) error { return s.RevocationStore.Revoke(ctx, r) })
}

func (s tracedRevocations) Revoked(ctx context.Context, ref TokenRef) (bool, error) {
	return inSpan(ctx, s.meter, "Revoked", func(ctx context.Context) (bool, error) { return s.RevocationStore.Revoked(ctx, ref) })
}

type tracedCodes struct {
	CodeStore
	meter *meter
}

func (s tracedCodes) PutCode(ctx context.Context, c OneTimeCode) error {
	return runInSpan(ctx, s.meter, "PutCode", func(ctx context.Context) error { return s.CodeStore.PutCode(ctx, c) })
}

func (s tracedCodes) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (OneTimeCode, error) {
	return inSpan(ctx, s.meter, "ConsumeCode", func(ctx context.Context) (OneTimeCode, error) { return s.CodeStore.ConsumeCode(ctx, key, hash, now) })
}

func (s tracedCodes) ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error) {
	return inSpan(ctx, s.meter, "ClaimOnce", func(ctx context.Context) (bool, error) { return s.CodeStore.ClaimOnce(ctx, key, now, until) })
}

type tracedCounters struct {
	CounterStore
	meter *meter
}

func (s tracedCounters) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (Count, error) {
	return inSpan(ctx, s.meter, "Hit", func(ctx context.Context) (Count, error) { return s.CounterStore.Hit(ctx, key, limit, window, now) })
}

func (s tracedCounters) Refund(ctx context.Context, key string, now time.Time) error {
	return runInSpan(ctx, s.meter, "Refund", func(ctx context.Context) error { return s.CounterStore.Refund(ctx, key, now) })
}

func (s tracedCounters) Reset(ctx context.Context, key string) error {
	return runInSpan(ctx, s.meter, "Reset", func(ctx context.Context) error { return s.CounterStore.Reset(ctx, key) })
}

type tracedAudit struct {
	AuditStore
	meter *meter
}

func (s tracedAudit) Append(ctx context.Context, r AuditRecord) error {
	return runInSpan(ctx, s.meter, "Append", func(ctx context.Context) error { return s.AuditStore.Append(ctx, r) })
}

func (s tracedAudit) Query(ctx context.Context, q AuditQuery) ([]AuditRecord, error) {
	return inSpan(ctx, s.meter, "Query", func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Query(ctx, q) })
}

func (s tracedAudit) Follow(ctx context.Context, after int64, limit int) ([]AuditRecord, error) {
	return inSpan(ctx, s.meter, "Follow", func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Follow(ctx, after, limit) })
}

func (s tracedAudit) AuditMarks(ctx context.Context) (anchor, head AuditMark, err error) {
	err = runInSpan(ctx, s.meter, "AuditMarks", func(ctx context.Context) (err error) {
		anchor, head, err = s.AuditStore.AuditMarks(ctx)
		return err
	})
	return anchor, head, err
}

func (s tracedAudit) Unsealed(ctx context.Context, limit int) ([]AuditRecord, error) {
	return inSpan(ctx, s.meter, "Unsealed", func(ctx context.Context) ([]AuditRecord, error) { return s.AuditStore.Unsealed(ctx, limit) })
}

func (s tracedAudit) Seal(ctx context.Context, from AuditMark, seals []AuditSeal, head AuditMark) error {
	return runInSpan(ctx, s.meter, "Seal", func(ctx context.Context) error { return s.AuditStore.Seal(ctx, from, seals, head) })
}

func (s tracedAudit) PurgeAudit(ctx context.Context, anchor AuditMark) error {
	return runInSpan(ctx, s.meter, "PurgeAudit", func(ctx context.Context) error { return s.AuditStore.PurgeAudit(ctx, anchor) })
}

func (s tracedAudit) AuditKey(ctx context.Context, userID string, candidate AuditKey) (AuditKey, error) {
	return inSpan(ctx, s.meter, "AuditKey", func(ctx context.Context) (AuditKey, error) { return s.AuditStore.AuditKey(ctx, userID, candidate) })
}

func (s tracedAudit) EraseAuditKey(ctx context.Context, userID string) error {
	return runInSpan(ctx, s.meter, "EraseAuditKey", func(ctx context.Context) error { return s.AuditStore.EraseAuditKey(ctx, userID) })
}
