package jwtauth

import (
	"errors"
	"time"
)

// Error is what every method of this package returns for a cause that a caller
// can act on. Code is stable and documented; Message is one English sentence
// that may be shown to the person who made the request. Compare with
// [errors.Is] against the sentinels below, which match by Code.
//
// Neither Code nor Message tells an attacker more than the public contract
// does: the precise reason stays in the log and in the event.
type Error struct {
	// Code identifies the cause, for example "invalid_credentials".
	Code string
	// Message is a sentence for people. It never echoes input.
	Message string
	// Fields names the input members that are missing or wrong, if any.
	Fields []string
	// RetryAfter is how long to wait before trying again; 0 where waiting
	// does not help.
	RetryAfter time.Duration

	cause   error
	refusal bool // by a hook of the host
}

// Error returns the message, followed by the cause where there is one.
func (e *Error) Error() string {
	if e.cause != nil {
		return "jwtauth: " + e.Code + ": " + e.cause.Error()
	}
	return "jwtauth: " + e.Code + ": " + e.Message
}

// Is reports whether target is an [Error] with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// because returns a copy of e that carries the precise reason for logs. The
// cause is deliberately not unwrapped: callers act on codes, not on what a
// driver happened to return.
func (e *Error) because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// saying returns a copy of e with another message and the fields concerned.
func (e *Error) saying(message string, fields ...string) *Error {
	c := *e
	c.Message, c.Fields = message, fields
	return &c
}

// after returns a copy of e that tells when to try again.
func (e *Error) after(wait time.Duration) *Error {
	c := *e
	c.RetryAfter = wait
	return &c
}

// The causes a caller can tell apart. The HTTP layer maps each to the status
// in the comment.
var (
	// ErrInvalidCredentials covers an unknown user, a wrong password and an
	// account without one: the three are one answer (401).
	ErrInvalidCredentials = &Error{Code: "invalid_credentials", Message: "The user name or password is incorrect."}
	// ErrMissingToken means that a request needs a token and has none (401).
	ErrMissingToken = &Error{Code: "missing_token", Message: "This request needs an access token."}
	// ErrInvalidToken covers every access token that is not accepted:
	// malformed, forged, expired, revoked, for somebody else (401).
	ErrInvalidToken = &Error{Code: "jwt_auth_invalid_token", Message: "The token is not valid."}
	// ErrInvalidRefreshToken covers every refresh token that is not accepted (401).
	ErrInvalidRefreshToken = &Error{Code: "jwt_auth_invalid_refresh_token", Message: "The refresh token is not valid."}
	// ErrInvalidCode covers every mailed link or code that is not accepted:
	// wrong, used, expired, replaced, or for an account that nobody has (400).
	ErrInvalidCode = &Error{Code: "invalid_code", Message: "The link or code is not valid any more. Please ask for a new one."}
	// ErrEmailNotVerified is told only to somebody who has proved the
	// password (403).
	ErrEmailNotVerified = &Error{Code: "email_not_verified", Message: "Please confirm your e-mail address first."}
	// ErrInvalidExchange covers every SSO exchange that is not accepted, from
	// an unknown site to a replay (401).
	ErrInvalidExchange = &Error{Code: "invalid_sso_exchange", Message: "The exchange is not valid."}
	// ErrAuthCode covers a missing, wrong or expired code of
	// [AccessConfig.Codes] (401).
	ErrAuthCode = &Error{Code: "invalid_auth_code", Message: "This needs a valid code."}
	// ErrAccountDisabled is told only to somebody who has proved the password (403).
	ErrAccountDisabled = &Error{Code: "account_disabled", Message: "This account is disabled."}
	// ErrForbidden means that the caller is known and lacks the right (403).
	ErrForbidden = &Error{Code: "rest_forbidden", Message: "You are not allowed to do that."}
	// ErrReauthRequired means that the current password is needed as well (403).
	ErrReauthRequired = &Error{Code: "reauthentication_required", Message: "Please confirm with your current password."}
	// ErrRegistrationClosed means that nobody can register (403).
	ErrRegistrationClosed = &Error{Code: "registration_closed", Message: "Registration is closed."}
	// ErrTooManySessions means that the user has as many devices as allowed (403).
	ErrTooManySessions = &Error{Code: "too_many_sessions", Message: "This account is signed in on too many devices."}
	// ErrInvalidInput means that a field is missing or wrong; Fields names it (400).
	ErrInvalidInput = &Error{Code: "rest_invalid_param", Message: "A field has a value that is not allowed."}
	// ErrMissingFields means that required fields are absent; Fields names them (400).
	ErrMissingFields = &Error{Code: "missing_fields", Message: "A required field is missing."}
	// ErrWeakPassword means that a new password does not meet the policy; the
	// message says which rule (400).
	ErrWeakPassword = &Error{Code: "weak_password", Message: "This password is too easy to guess."}
	// ErrLoginTaken means that another account has that user name (409).
	ErrLoginTaken = &Error{Code: "existing_user_login", Message: "This user name is already in use."}
	// ErrEmailTaken means that another account has that e-mail address (409).
	ErrEmailTaken = &Error{Code: "existing_user_email", Message: "This e-mail address is already in use."}
	// ErrIdentityTaken means that another account has that identity at a
	// connected site (409).
	ErrIdentityTaken = &Error{Code: "existing_identity", Message: "This identity belongs to another account."}
	// ErrConflict means that the record changed since it was read (409).
	ErrConflict = &Error{Code: "conflict", Message: "The record was changed meanwhile. Please try again."}
	// ErrNotFound means that there is no such record (404).
	ErrNotFound = &Error{Code: "not_found", Message: "There is no such record."}
	// ErrTrailBroken means that the audit trail is not as it was written:
	// see [Auth.VerifyTrail] (500).
	ErrTrailBroken = &Error{Code: "trail_broken", Message: "The audit trail was tampered with, or damaged."}
	// ErrRateLimited means that a limit is used up; RetryAfter says until when (429).
	ErrRateLimited = &Error{Code: "jwt_auth_rate_limited", Message: "Rate limit exceeded"}
	// ErrOverloaded means that all hashing slots and the queue are taken (503).
	ErrOverloaded = &Error{Code: "overloaded", Message: "The server is busy. Please try again in a moment.", RetryAfter: time.Second}
	// ErrUnavailable means that a store did not answer; nothing was granted (503).
	ErrUnavailable = &Error{Code: "service_unavailable", Message: "The service is temporarily unavailable.", RetryAfter: 5 * time.Second}
)

// codeInternal is what [Code] says of an error that is none of ours.
const codeInternal = "internal_error"

// Code returns the code of any error: "" for nil, that of the [Error] in its
// chain, and "internal_error" for everything else.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := asError(err); ok {
		return e.Code
	}
	return codeInternal
}

func asError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// storeFault turns what a store returned into what a caller may see. The
// sentinels pass; anything else is a fault, and a fault refuses the request.
func storeFault(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := asError(err); ok {
		return e
	}
	return ErrUnavailable.because(err)
}
