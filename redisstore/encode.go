package redisstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// Numbers and times are kept as digits of a fixed length, so that a script can
// compare them as text: Lua knows floating point alone, which is exact up to
// 2^53, and a watermark may be 2^63-1.

const (
	numberLen = 20
	stampLen  = 21
	signBit   = 1 << 63
	// stampZero is what is added to Unix seconds, so that they are positive
	// from long before the zero time on.
	stampZero   = 100_000_000_000
	lastSeconds = 999_999_999_999
)

// number encodes any int64.
func number(v int64) string { return fmt.Sprintf("%0*d", numberLen, uint64(v)^signBit) }

func parseNumber(s string) (int64, error) {
	if len(s) != numberLen || !digits(s) {
		return 0, errCorrupt
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, errCorrupt
	}
	return int64(v ^ signBit), nil
}

// stamp encodes a time to the nanosecond, as seconds and the rest. What is more
// than thousands of years away becomes the first or the last time there is.
func stamp(t time.Time) string {
	seconds, nanos := t.Unix(), t.Nanosecond()
	switch {
	case seconds < -stampZero:
		seconds, nanos = -stampZero, 0
	case seconds > lastSeconds-stampZero:
		seconds, nanos = lastSeconds-stampZero, 999_999_999
	}
	return fmt.Sprintf("%012d%09d", seconds+stampZero, nanos)
}

func parseStamp(s string) (time.Time, error) {
	if len(s) != stampLen || !digits(s) {
		return time.Time{}, errCorrupt
	}
	seconds, errSeconds := strconv.ParseInt(s[:12], 10, 64)
	nanos, errNanos := strconv.ParseInt(s[12:], 10, 64)
	if errSeconds != nil || errNanos != nil {
		return time.Time{}, errCorrupt
	}
	return time.Unix(seconds-stampZero, nanos).UTC(), nil
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// A row is a session without its id and its user, which are where the row is:
//
//	generation (20) moved (21) expires (21) created (21)
//	secret id, credential version, address, user agent, device id: each with its length (4)
//
// advance_session.lua and create_session.lua know the places of the first five.

// maxField is the longest text in a row: its length has four digits.
const maxField = 9999

func field(s string) string { return fmt.Sprintf("%04d", len(s)) + s }

func encodeRow(s jwtauth.Session) (string, error) {
	row := number(s.Generation) + stamp(s.Moved) + stamp(s.Expires) + stamp(s.Created)
	for _, text := range []string{s.SecretID, number(s.CredentialVersion), s.Address, s.UserAgent, s.DeviceID} {
		if len(text) > maxField {
			return "", fmt.Errorf("a field of the session is longer than %d bytes", maxField)
		}
		row += field(text)
	}
	return row, nil
}

func decodeRow(id, userID, row string) (jwtauth.Session, error) {
	d := decoder{rest: row}
	s := jwtauth.Session{
		ID: id, UserID: userID, Generation: d.number(), Moved: d.stamp(), Expires: d.stamp(), Created: d.stamp(),
		SecretID: d.field(),
	}
	version := decoder{rest: d.field()}
	s.CredentialVersion = version.number()
	s.Address, s.UserAgent, s.DeviceID = d.field(), d.field(), d.field()
	if d.bad || d.rest != "" || version.bad || version.rest != "" {
		return jwtauth.Session{}, errCorrupt
	}
	return s, nil
}

// decoder takes one part after the other from a row.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) take(n int) string {
	if d.bad || len(d.rest) < n {
		d.bad = true
		return ""
	}
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part
}

func (d *decoder) number() int64 {
	v, err := parseNumber(d.take(numberLen))
	d.bad = d.bad || err != nil
	return v
}

func (d *decoder) stamp() time.Time {
	t, err := parseStamp(d.take(stampLen))
	d.bad = d.bad || err != nil
	return t
}

func (d *decoder) field() string {
	length := d.take(4)
	n, err := strconv.Atoi(length)
	if err != nil || !digits(length) {
		d.bad = true
		return ""
	}
	return d.take(n)
}
