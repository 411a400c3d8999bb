package jwtauth

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that must not be shown: it formats, logs and marshals as
// "[redacted]". Convert with string(s) where the text itself is meant.
//
// Package fmt can't ask a field that is not exported, and does not ask for %p and
// a misplaced %w, which go vet reports: a type of yours that keeps a Secret in such
// a field, and is formatted, needs a String or Format method of its own.
type Secret string

const redacted = "[redacted]"

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// GoString returns a placeholder, for %#v.
func (s Secret) GoString() string { return redacted }

// Format writes a placeholder for every verb: %d shows nothing more than %v.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a placeholder, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder, for encoding/json and others.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// hidden is the MarshalText of a type that holds secrets: what its String tells,
// and nothing else.
func hidden(x fmt.Stringer) ([]byte, error) { return []byte(x.String()), nil }
