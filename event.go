package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Event is the record of one thing that happened, or was refused. It holds no
// secret: no password, no token, no hash, and no user name that is not one of
// ours, since people type passwords into the wrong field.
type Event struct {
	// ID is a UUID of version 7: unique, and sorted by time.
	ID string
	// Time is when it happened, in UTC, with microseconds.
	Time time.Time
	// Name is one of the Event… constants.
	Name string
	// Result is "ok" or "refused".
	Result string
	// Reason says why something was refused, as a code.
	Reason string
	// Count is 1, or how many refusals that were alike this one stands for:
	// see [AuditConfig.Refusals].
	Count int64
	// UserID is whose account it is about; "" if unknown.
	UserID string
	// ActorID is who did it, where that is somebody else.
	ActorID string
	// SessionID and TokenID say by which session and token.
	SessionID, TokenID string
	// Address, UserAgent, DeviceID and RequestID come from the [Client].
	Address, UserAgent, DeviceID, RequestID string

	// Sequence is the place in the sealed trail, from 1 on without a gap; 0
	// until it has one, which takes a moment.
	Sequence int64
	// Erased says that the account was deleted: of its events only ID, Time,
	// Name, Result, Reason and Count are left.
	Erased bool
}

// Device is a name for people of what the caller used, for example "Firefox on
// Windows". It is a hint and proves nothing.
func (e Event) Device() string { return deviceName(e.UserAgent) }

// MarshalJSON writes the event as GET /audit shows it and webhooks send it.
func (e Event) MarshalJSON() ([]byte, error) { return json.Marshal(viewEvent(e)) }

// UnmarshalJSON reads what MarshalJSON wrote. Members that it does not know are
// passed over: a later version may have more.
func (e *Event) UnmarshalJSON(data []byte) error {
	var b eventBody
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, b.Time)
	if err != nil {
		return errors.New("jwtauth: an event without a time")
	}
	*e = Event{ID: b.ID, Time: t.UTC(), Name: b.Event, Result: b.Result, Reason: b.Reason, Count: b.Count,
		UserID: string(b.User), ActorID: string(b.Actor), SessionID: b.Session, TokenID: b.TokenID, Address: b.Address,
		UserAgent: b.UserAgent, DeviceID: b.DeviceID, RequestID: b.RequestID, Sequence: b.Sequence, Erased: b.Erased}
	return nil
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
	// EventLock is a wrong password that used up what an account bears: see
	// [LockoutConfig] and [Auth.Locks]. A name that no account has is locked as
	// well, and its record has no user.
	EventLock = "account.lock"
	// EventNewDevice is a notice beside [EventLogin]: somebody has logged in
	// from what looks like a device that the account has not used before.
	EventNewDevice = "login.new_device"
	// EventUnlimited stands for Count requests that passed without a limit,
	// see [LimitConfig.DangerouslyAllowWhenDown].
	EventUnlimited = "limit.unavailable"
	// EventAccess is a request to a host's own route that was refused for
	// want of a right, or with a token that was made up or revoked.
	EventAccess = "access"
	// EventTrailAdopt is a call of [Auth.AdoptTrail].
	EventTrailAdopt = "trail.adopt"
	// EventKeyRotate, EventWebhookReplay and EventWebhookRedeliver are what an
	// administrator does on pages of the host: see [Auth.Record].
	EventKeyRotate        = "key.rotate"
	EventWebhookReplay    = "webhook.replay"
	EventWebhookRedeliver = "webhook.redeliver"
	// The events of endpoints that only read.
	EventValidate     = "token.validate"
	EventReadAccount  = "account.read"
	EventReadSessions = "session.list"
	EventReadActivity = "activity.read"
	EventReadAudit    = "audit.read"
	// EventReadAccounts is a look at the list of accounts, or at who is locked.
	EventReadAccounts = "account.list"
)

// The two results of an event.
const (
	ResultOK      = "ok"
	ResultRefused = "refused"
)

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
