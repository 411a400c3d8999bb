package jwtauth

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Event is the record of one thing that happened, or was refused. It holds no
// secret: no password, no token, no hash, and no user name that is not one of
// ours, since people type passwords into the wrong field.
type Event struct {
	// ID is a UUID of version 7: unique, and sorted by time.
	ID string
	// Time is when it happened, in UTC.
	Time time.Time
	// Name is one of the Event… constants.
	Name string
	// Result is "ok" or "refused".
	Result string
	// Reason says why something was refused, as a code.
	Reason string
	// UserID is whose account it is about; "" if unknown.
	UserID string
	// ActorID is who did it, where that is somebody else.
	ActorID string
	// SessionID and TokenID say by which session and token.
	SessionID, TokenID string
	// Address, UserAgent and RequestID come from the [Client].
	Address, UserAgent, RequestID string
}

// The names of events.
const (
	EventLogin          = "login"
	EventRegister       = "register"
	EventRefresh        = "token.refresh"
	EventReuse          = "token.reuse"
	EventRevoke         = "token.revoke"
	EventIssue          = "token.issue"
	EventPasswordChange = "password.change"
	EventAccountDelete  = "account.delete"
	EventRolesChange    = "account.roles"
	EventDisable        = "account.disable"
	EventEnable         = "account.enable"
	EventSessionEnd     = "session.end"
	EventForgot         = "password.forgot"
	EventReset          = "password.reset"
	EventVerifyEmail    = "email.verify"
	EventVerifyResend   = "email.resend"
	EventMailFailed     = "mail.failed"
	EventSSO            = "sso.exchange"
	EventAutoLogin      = "autologin"
	EventUnlock         = "account.unlock"
)

// The two results of an event.
const (
	ResultOK      = "ok"
	ResultRefused = "refused"
)

// record appends an event before the answer leaves: an acknowledged action has
// its record, or it is not acknowledged. On a fault the caller gets
// [ErrUnavailable] and may try again.
func (a *Auth) record(ctx context.Context, e Event) error {
	c := ClientFrom(ctx)
	id, err := uuid.NewV7()
	if err != nil {
		return ErrUnavailable.because(err)
	}
	e.ID, e.Time = id.String(), a.now().UTC()
	if e.Result == "" {
		e.Result = ResultOK
	}
	if c.IP.IsValid() {
		e.Address = c.IP.String()
	}
	e.UserAgent, e.RequestID = clip(c.UserAgent, maxUserAgent), clip(c.RequestID, maxRequestID)
	a.logEvent(ctx, e)
	if err := a.audit.Append(context.WithoutCancel(ctx), e); err != nil {
		a.log.ErrorContext(ctx, "event not recorded", "event", e.Name, "error", err)
		return ErrUnavailable.because(err)
	}
	a.notify(ctx, e)
	return nil
}

// refused records that something was refused and returns the refusal, or the
// fault if it can't be recorded.
func (a *Auth) refused(ctx context.Context, e Event, refusal error) error {
	e.Result, e.Reason = ResultRefused, cmp.Or(Reason(refusal), Code(refusal))
	if err := a.record(ctx, e); err != nil {
		return err
	}
	return refusal
}

func (a *Auth) logEvent(ctx context.Context, e Event) {
	level := slog.LevelInfo
	if e.Result == ResultRefused {
		level = slog.LevelWarn
	}
	a.log.LogAttrs(ctx, level, e.Name, slog.String("result", e.Result), slog.String("reason", e.Reason),
		slog.String("user", e.UserID), slog.String("session", e.SessionID),
		slog.String("address", e.Address), slog.String("request", e.RequestID))
}

const (
	maxUserAgent = 256
	maxRequestID = 64
)

// clip cuts text to n bytes, at a character, and marks the cut. What is no text
// at all (NUL, bytes that are not UTF-8) is replaced: not every store takes it.
func clip(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
	if len(s) <= n {
		return s
	}
	const mark = "…"
	cut := n - len(mark)
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + mark
}
