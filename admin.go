package jwtauth

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// What pages for administrators need beside the methods that act: package
// adminui is made of these, and so may be a host's own.

// AdminRoles are the roles that may see the trail of everybody, from
// [AuditConfig.Roles]. Pages for administrators take them as their default.
func (a *Auth) AdminRoles() []string { return slices.Clone(a.cfg.Audit.Roles) }

// Keys lists the keys that sign and verify tokens, the signing one first.
func (a *Auth) Keys() []KeyInfo { return a.keys.Keys() }

// CanList reports whether the stores have the optional parts that [Auth.Users]
// and [Auth.AllSessions] ask: [UserLister] and [SessionLister].
func (a *Auth) CanList() (users, sessions bool) {
	_, _, users = partOf[UserLister](a.cfg.Users)
	_, _, sessions = partOf[SessionLister](a.cfg.Sessions.Store)
	return users, sessions
}

// readEvery is how often a read that is repeated is recorded.
const readEvery = 5 * time.Minute

// hostEvents are what [Auth.Record] takes. True stands for what only reads.
var hostEvents = map[string]bool{
	EventKeyRotate:        false,
	EventWebhookReplay:    false,
	EventWebhookRedeliver: false,
	EventReadAudit:        true,
	EventReadActivity:     true,
	EventReadAccount:      true,
	EventReadAccounts:     true,
	EventReadSessions:     true,
}

// Record appends the record of something that a person did, or looked at, on a
// page of the host's, and that no method of [Auth] records by itself. Who did it
// is the identity of ctx, as [Auth.Require] puts it there. It takes the names
// [EventKeyRotate], [EventWebhookReplay], [EventWebhookRedeliver] and those of
// reads; any other is [ErrInvalidInput], since it has a record of its own. Of e
// it keeps Name, Result, Reason and UserID: whose account it is about, if any.
//
// Call it before the answer, and answer with its error: what can't be recorded
// is not acknowledged. Reads are left out with [AuditConfig.SkipReads], and one
// that a session repeats within 5 minutes is recorded once.
func (a *Auth) Record(ctx context.Context, e Event) error {
	read, known := hostEvents[e.Name]
	if !known {
		return ErrInvalidInput.saying("This event is not for a host to record.", "event")
	}
	if read && e.Result != ResultRefused {
		if fresh, err := a.freshRead(ctx, e); err != nil || !fresh {
			return err
		}
	}
	return a.record(ctx, Event{Name: e.Name, Result: e.Result, Reason: e.Reason, UserID: e.UserID})
}

// freshRead reports whether a read is to be recorded. Whoever watches a page
// that renews itself would otherwise fill it with records of that.
func (a *Auth) freshRead(ctx context.Context, e Event) (bool, error) {
	if a.cfg.Audit.SkipReads {
		return false, nil
	}
	reader := ""
	if id, ok := FromContext(ctx); ok {
		reader = cmp.Or(id.SessionID, id.TokenID)
	}
	now := a.now()
	fresh, err := a.codes.ClaimOnce(ctx, "read:"+e.Name+":"+reader+":"+e.UserID, now, now.Add(readEvery))
	return fresh, storeFault(err)
}

// EventNames lists the names that events of an [Auth] have, sorted: for filters.
func EventNames() []string {
	names := []string{
		EventLogin, EventRegister, EventRefresh, EventReuse, EventRevoke, EventIssue, EventPasswordChange,
		EventAccountDelete, EventRolesChange, EventDisable, EventEnable, EventSessionEnd, EventForgot, EventReset,
		EventVerifyEmail, EventVerifyResend, EventMailFailed, EventSSO, EventAutoLogin, EventLock, EventUnlock, EventNewDevice,
		EventUnlimited, EventAccess, EventTrailAdopt, EventKeyRotate, EventWebhookReplay, EventWebhookRedeliver,
		EventValidate, EventReadAccount, EventReadAccounts, EventReadSessions, EventReadActivity, EventReadAudit,
	}
	slices.Sort(names)
	return names
}
