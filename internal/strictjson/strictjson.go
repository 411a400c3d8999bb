// Package strictjson reads one JSON object in a single pass and refuses
// everything that two readers could understand differently: duplicate member
// names at any depth (compared after unescaping), trailing data, invalid UTF-8,
// lone surrogates, a byte order mark, deep nesting and floods of members.
//
// encoding/json takes the last duplicate, matches names case-insensitively and
// replaces invalid UTF-8. For tokens and credentials each of these is an attack
// (RFC 7519, section 4; RFC 7515, section 4; RFC 8725, section 3.7), so names
// are matched exactly here, and values are handed out with their type.
package strictjson

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is the JSON type of a value.
type Kind byte

// The kinds of JSON values. Missing is the kind of the zero Value.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value. It refers to the text it was read from.
type Value struct {
	raw  string
	kind Kind
}

// Member is one name and its value.
type Member struct {
	name  string
	Value Value
}

// Name returns the name, unescaped.
func (m Member) Name() string { return m.name }

// Members are the members of an object, in their order.
type Members []Member

// Limits bound what is read.
type Limits struct {
	// Depth is how deep arrays and objects may nest; the outermost object is 1.
	Depth int
	// Members is how many members any one object may have.
	Members int
}

// The reasons why an input is refused.
var (
	ErrSyntax    = errors.New("not one JSON object")
	ErrUTF8      = errors.New("text that is not valid UTF-8")
	ErrDuplicate = errors.New("duplicate member name")
	ErrDepth     = errors.New("nested too deeply")
	ErrMembers   = errors.New("too many members")
)

// Parse reads data as one object and appends its members to dst, which may be
// nil.
func Parse(data []byte, lim Limits, dst Members) (Members, error) {
	return ParseText(string(data), lim, dst)
}

// ParseText is Parse for text, which the members refer to and keep in memory.
func ParseText(data string, lim Limits, dst Members) (Members, error) {
	s := scanner{data: data, lim: lim}
	s.space()
	if !s.is('{') {
		return dst, ErrSyntax
	}
	dst, err := s.object(1, dst, true)
	if err != nil {
		return dst, err
	}
	s.space()
	if s.pos != len(data) {
		return dst, ErrSyntax
	}
	return dst, nil
}

// Get returns the value of the member with exactly that name. The kind of the
// answer is Missing if there is none.
func (m Members) Get(name string) Value {
	for i := range m {
		if m[i].name == name {
			return m[i].Value
		}
	}
	return Value{}
}

// Kind returns the type of the value.
func (v Value) Kind() Kind { return v.kind }

// Raw returns the text of the value as it was read.
func (v Value) Raw() []byte { return []byte(v.raw) }

// String returns a string value, unescaped; false for any other kind.
func (v Value) String() (string, bool) {
	s, ok := v.Text()
	return strings.Clone(s), ok
}

// Text is String without a copy: what it returns may be part of the text that
// was read, all of which then stays in memory.
func (v Value) Text() (string, bool) {
	if v.kind != String {
		return "", false
	}
	return unquote(v.raw), true
}

// Bool returns a boolean value; false for any other kind.
func (v Value) Bool() (value, ok bool) {
	return v.kind == Bool && v.raw[0] == 't', v.kind == Bool
}

// Int returns a number that is written as an integer and fits; false for
// anything else, also for 1.0 and 1e3.
func (v Value) Int() (int64, bool) {
	if v.kind != Number {
		return 0, false
	}
	n, err := strconv.ParseInt(v.raw, 10, 64)
	return n, err == nil
}

// Strings returns an array that holds nothing but strings.
func (v Value) Strings() ([]string, bool) {
	if v.kind != Array {
		return nil, false
	}
	s := scanner{data: v.raw, pos: 1}
	out := []string{}
	for s.space(); !s.is(']'); s.space() {
		if s.is(',') {
			s.pos++
			continue
		}
		if !s.is('"') {
			return nil, false
		}
		start := s.pos
		s.skipString()
		out = append(out, unquote(v.raw[start:s.pos]))
	}
	return out, true
}

// scanner is a recursive descent over data. names is a stack: the names of all
// objects that are open, but for the outermost, each object's from its own base
// on.
type scanner struct {
	data  string
	pos   int
	lim   Limits
	names []string
}

func (s *scanner) is(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// object reads from '{' to the matching '}'. The members of the outermost
// object are kept; those of others are only checked.
func (s *scanner) object(depth int, dst Members, keep bool) (Members, error) {
	if depth > s.lim.Depth {
		return dst, ErrDepth
	}
	first, base := len(dst), len(s.names)
	s.pos++
	s.space()
	for !s.is('}') {
		name, err := s.name()
		if err != nil {
			return dst, err
		}
		if keep {
			err = dst[first:].room(name, s.lim)
		} else {
			err = s.note(name, base)
		}
		if err != nil {
			return dst, err
		}
		value, err := s.value(depth)
		if err != nil {
			return dst, err
		}
		if keep {
			dst = append(dst, Member{name, value})
		}
		if err := s.next('}'); err != nil {
			return dst, err
		}
	}
	s.pos++
	s.names = s.names[:base]
	return dst, nil
}

// name reads a member name and the colon behind it.
func (s *scanner) name() (string, error) {
	quoted, err := s.string()
	if err != nil {
		return "", err
	}
	s.space()
	if !s.is(':') {
		return "", ErrSyntax
	}
	s.pos++
	return unquote(quoted), nil
}

// room reports why a member with that name can't follow m.
func (m Members) room(name string, lim Limits) error {
	for i := range m {
		if m[i].name == name {
			return ErrDuplicate
		}
	}
	if len(m) >= lim.Members {
		return ErrMembers
	}
	return nil
}

// note is room for an object whose members are not kept.
func (s *scanner) note(name string, base int) error {
	if slices.Contains(s.names[base:], name) {
		return ErrDuplicate
	}
	if len(s.names)-base >= s.lim.Members {
		return ErrMembers
	}
	s.names = append(s.names, name)
	return nil
}

// next moves behind a comma, or to the closing character. A comma must be
// followed by something else than the closing character.
func (s *scanner) next(closing byte) error {
	s.space()
	if s.is(closing) {
		return nil
	}
	if !s.is(',') {
		return ErrSyntax
	}
	s.pos++
	s.space()
	if s.is(closing) {
		return ErrSyntax
	}
	return nil
}

func (s *scanner) value(depth int) (Value, error) {
	s.space()
	if s.pos >= len(s.data) {
		return Value{}, ErrSyntax
	}
	start := s.pos
	kind, err := s.skipValue(depth)
	if err != nil {
		return Value{}, err
	}
	return Value{raw: s.data[start:s.pos], kind: kind}, nil
}

func (s *scanner) skipValue(depth int) (Kind, error) {
	switch c := s.data[s.pos]; {
	case c == '"':
		_, err := s.string()
		return String, err
	case c == '{':
		_, err := s.object(depth+1, nil, false)
		return Object, err
	case c == '[':
		return Array, s.array(depth + 1)
	case c == 't':
		return Bool, s.word("true")
	case c == 'f':
		return Bool, s.word("false")
	case c == 'n':
		return Null, s.word("null")
	default:
		return Number, s.number()
	}
}

func (s *scanner) array(depth int) error {
	if depth > s.lim.Depth {
		return ErrDepth
	}
	s.pos++
	s.space()
	for !s.is(']') {
		if _, err := s.value(depth); err != nil {
			return err
		}
		if err := s.next(']'); err != nil {
			return err
		}
	}
	s.pos++
	return nil
}

func (s *scanner) word(w string) error {
	if !strings.HasPrefix(s.data[s.pos:], w) {
		return ErrSyntax
	}
	s.pos += len(w)
	return nil
}

// number follows RFC 8259, section 6: no leading zeros, no plus sign, digits on
// both sides of the point.
func (s *scanner) number() error {
	if s.is('-') {
		s.pos++
	}
	switch {
	case s.is('0'):
		s.pos++
	case !s.digits():
		return ErrSyntax
	}
	if s.is('.') {
		s.pos++
		if !s.digits() {
			return ErrSyntax
		}
	}
	if s.is('e') || s.is('E') {
		s.pos++
		if s.is('+') || s.is('-') {
			s.pos++
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// string reads a string with its quotes and checks every character in it.
func (s *scanner) string() (string, error) {
	if !s.is('"') {
		return "", ErrSyntax
	}
	start := s.pos
	s.pos++
	for {
		s.plain()
		if s.pos >= len(s.data) {
			return "", ErrSyntax
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < utf8.RuneSelf: // a control character
			return "", ErrSyntax
		default:
			r, size := utf8.DecodeRuneInString(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return "", ErrUTF8
			}
			s.pos += size
		}
	}
}

// plain moves behind the ASCII characters that stand for themselves: nearly all.
func (s *scanner) plain() {
	data, pos := s.data, s.pos
	for pos < len(data) && plainBytes[data[pos]] {
		pos++
	}
	s.pos = pos
}

var plainBytes = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// escape reads one escape sequence, or two that form a surrogate pair. A
// surrogate alone has no character: encoders differ in what they make of it.
func (s *scanner) escape() error {
	if s.pos+1 >= len(s.data) {
		return ErrSyntax
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return ErrSyntax
	}
	r, ok := hex4(s.data[s.pos:])
	if !ok {
		return ErrSyntax
	}
	s.pos += 6
	if !utf16.IsSurrogate(r) {
		return nil
	}
	low, ok := hex4(s.data[s.pos:])
	if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
		return ErrUTF8
	}
	s.pos += 6
	return nil
}

// hex4 reads \uXXXX at the start of b.
func hex4(b string) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(b[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// skipString moves behind a string that was checked before.
func (s *scanner) skipString() {
	for s.pos++; s.data[s.pos] != '"'; s.pos++ {
		if s.data[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos++
}

// unquote returns the text of a string that was checked before.
func unquote(quoted string) string {
	in := quoted[1 : len(quoted)-1]
	if strings.IndexByte(in, '\\') < 0 {
		return in
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		if in[i] != '\\' {
			out = append(out, in[i])
			i++
			continue
		}
		if in[i+1] != 'u' {
			out = append(out, unescape(in[i+1]))
			i += 2
			continue
		}
		r, _ := hex4(in[i:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := hex4(in[i:])
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // '"', '\\' and '/'
}
