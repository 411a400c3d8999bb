package jwtauth

import (
	"context"
	"time"
)

// AuditRecord is an [Event] as an [AuditStore] keeps it. What tells about a
// person is in Personal, encrypted with a key of that person: destroying the
// key erases it from every copy of the record, and the chain, which covers the
// ciphertext, still holds.
type AuditRecord struct {
	// ID is that of the event. Records sort by it, byte by byte.
	ID string
	// Time has microseconds at most.
	Time time.Time
	// Name, Result, Reason and Count are those of the event.
	Name, Result, Reason string
	Count                int64
	// Subject is the pseudonym of the user, from its [AuditKey]; "" for an
	// event without a known user.
	Subject string
	// AddressKey is a keyed hash of the caller's address, for queries alone.
	// The chain does not cover it, so that it can be erased.
	AddressKey string
	// Personal is everything else: readable where there is no Subject.
	Personal []byte

	// Sequence and Hash are the place in the chain, from 1 on without a gap.
	// 0 and nil until the record is sealed.
	Sequence int64
	Hash     []byte

	// Key is the one of Subject, or nil once it was destroyed. It is no part
	// of a record: stores ignore it in Append, and look it up for Query and
	// Follow.
	Key []byte
}

// AuditKey is what the records of one user are encrypted with, and the
// pseudonym under which they are kept. Both are random.
type AuditKey struct {
	Subject string
	Key     []byte
}

// String hides the key.
func (AuditKey) String() string { return redacted }

// GoString hides the key.
func (AuditKey) GoString() string { return redacted }

// String names the record and leaves the rest out.
func (r AuditRecord) String() string { return "jwtauth.AuditRecord(" + r.ID + ")" }

// GoString is String, for %#v.
func (r AuditRecord) GoString() string { return r.String() }

// AuditMark is a place in the chain of records: the hash of one of them commits
// to all before it.
type AuditMark struct {
	// Sequence is 0 in front of the first record.
	Sequence int64
	// Hash is that of the record; empty in front of the first.
	Hash []byte
	// Proof is made by an [Auth] and tells that it was no one else who put
	// the mark there.
	Proof []byte
}

// AuditSeal gives a record its place.
type AuditSeal struct {
	ID       string
	Sequence int64
	Hash     []byte
}

// AuditQuery asks for a page of records. Empty fields ask for nothing.
type AuditQuery struct {
	// Subject, Name and Result are compared byte by byte.
	Subject, Name, Result string
	// AddressKeys lists hashes of which a record must have one.
	AddressKeys []string
	// From and To bound the time: From is within, To is not.
	From, To time.Time
	// Before asks for records whose ID sorts before it: the last one of the
	// page before.
	Before string
	// Limit is 1 to 1,000.
	Limit int
}

// AuditStore keeps the record of what happened. Records are appended as they
// come, without a place in the chain; [AuditChain.Seal] gives them one
// afterwards, in batches. Nothing changes or removes a record but
// EraseAuditKey and PurgeAudit.
type AuditStore interface {
	// Append stores a record. When it returns, the record is as durable as
	// the store promises. An ID that is taken is [ErrConflict].
	Append(ctx context.Context, r AuditRecord) error
	// Query returns the records that match, sealed or not, the largest ID
	// first. Paging with Before shows no record twice and leaves out none
	// that was there when the first page was read. None is not an error.
	Query(ctx context.Context, q AuditQuery) ([]AuditRecord, error)
	// Follow returns up to limit sealed records with a Sequence above after,
	// in its order. None is not an error.
	Follow(ctx context.Context, after int64, limit int) ([]AuditRecord, error)

	AuditChain
	AuditKeys
}

// AuditChain is the part of an [AuditStore] that keeps the chain.
type AuditChain interface {
	// AuditMarks returns where the chain begins and ends: anchor is in front
	// of the first sealed record that is kept, head is the last one. Both
	// are zero before anything was sealed.
	AuditMarks(ctx context.Context) (anchor, head AuditMark, err error)
	// Unsealed returns up to limit records without a place, the smallest ID
	// first.
	Unsealed(ctx context.Context, limit int) ([]AuditRecord, error)
	// Seal gives records their places and moves the head, if the head is
	// still at from.Sequence and every record is there and has no place yet.
	// Otherwise nothing changes and it returns [ErrConflict]. The seals follow
	// from without a gap, and head is the mark of the last one. Of any number
	// of concurrent callers with the same from, one succeeds.
	Seal(ctx context.Context, from AuditMark, seals []AuditSeal, head AuditMark) error
	// PurgeAudit removes the sealed records up to and with anchor.Sequence,
	// and makes it the anchor. [ErrConflict], and nothing is removed, if the
	// anchor is further on already or the head is not that far.
	PurgeAudit(ctx context.Context, anchor AuditMark) error
}

// AuditKeys is the part of an [AuditStore] that keeps a key for each user.
type AuditKeys interface {
	// AuditKey returns the key of a user. Where there is none, candidate
	// becomes it; of concurrent callers the first one decides. [ErrNotFound]
	// if the key was destroyed, or there is none and candidate is zero.
	AuditKey(ctx context.Context, userID string, candidate AuditKey) (AuditKey, error)
	// EraseAuditKey destroys the key of a user for good, also where there is
	// none yet, and empties AddressKey in the records of its Subject. A
	// second call is no error.
	EraseAuditKey(ctx context.Context, userID string) error
}

// Cursor is how far one consumer has got in the trail.
type Cursor struct {
	// Name is the consumer's.
	Name string
	// Sequence is that of the last record it is done with.
	Sequence int64
	// Moved is when it got there.
	Moved time.Time
	// Holder may move it until Until. "" if nobody holds it.
	Holder string
	Until  time.Time
}

// DeadLetter is a record that a consumer gave up on.
type DeadLetter struct {
	// Cursor is the name of the consumer.
	Cursor string
	// Sequence is that of the record.
	Sequence int64
	// EventID is that of the record.
	EventID string
	// Reason says why, without a secret.
	Reason string
	// Time is when it was given up.
	Time time.Time
}

// CursorStore keeps the places of consumers that follow the trail, for example
// those of webhooks. One at a time may move a cursor: the holder.
type CursorStore interface {
	// HoldCursor makes holder the only one who may move a cursor until until,
	// and returns it. A cursor that does not exist is made, at start and
	// moved at now. [ErrConflict] if somebody else holds it at now; the same
	// holder may hold it again, to hold it longer.
	HoldCursor(ctx context.Context, name, holder string, start int64, now, until time.Time) (Cursor, error)
	// MoveCursor sets a cursor to a Sequence, forward or back, and its Moved
	// to now, if holder holds it at now. Otherwise [ErrConflict], and
	// [ErrNotFound] if there is none.
	MoveCursor(ctx context.Context, name, holder string, to int64, now time.Time) error
	// ReleaseCursor gives it up, if holder holds it. If not, that is no error.
	ReleaseCursor(ctx context.Context, name, holder string) error
	// Cursors returns all of them, by name.
	Cursors(ctx context.Context) ([]Cursor, error)
	// PutDeadLetter stores one. The same Cursor and Sequence again replaces
	// it.
	PutDeadLetter(ctx context.Context, d DeadLetter) error
	// DeadLetters returns up to limit of one cursor with a Sequence above
	// after, in its order.
	DeadLetters(ctx context.Context, cursor string, after int64, limit int) ([]DeadLetter, error)
	// DropDeadLetter removes one. [ErrNotFound] if there is none.
	DropDeadLetter(ctx context.Context, cursor string, sequence int64) error
}

// WebhookStatus is how a receiver of events is doing, as package webhook tells
// it. LastError, LastSuccess, NextAttempt and Missed are what this process has
// seen: another one may be the sender.
type WebhookStatus struct {
	Name string
	// Sequence is that of the last event it is done with.
	Sequence int64
	// Backlog is how many events of the trail come after it, those of other
	// names among them.
	Backlog int64
	// LastError is why the last attempt failed, "" if it did not.
	LastError string
	// LastSuccess is when an event was last taken.
	LastSuccess time.Time
	// NextAttempt is when it looks or tries again.
	NextAttempt time.Time
	// Dead is how many dead letters there are, at most 1,000.
	Dead int
	// Missed is how many events were purged before they could be sent.
	Missed int64
}
