package jwtauth

import (
	"fmt"
	"log/slog"
)

// Secret is text that must not be shown: it formats, logs and marshals as
// "[redacted]". Convert with string(s) where the text itself is meant.
type Secret string

const redacted = "[redacted]"

// String returns a placeholder.
func (s Secret) String() string { return redacted }

// GoString returns a placeholder, for %#v.
func (s Secret) GoString() string { return redacted }

// LogValue returns a placeholder, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder, for encoding/json and others.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// hidden is the MarshalText of a type that holds secrets: what its String tells,
// and nothing else.
func hidden(x fmt.Stringer) ([]byte, error) { return []byte(x.String()), nil }
