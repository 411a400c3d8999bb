package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-jwtauth/jwtauth/internal/strictjson"
)

var limits = strictjson.Limits{Depth: 4, Members: 8}

var cases = []struct {
	name string
	in   string
	want error
}{
	{"empty object accepted", `{}`, nil},
	{"white space around accepted", " \t\r\n{ \"a\" : 1 , \"b\" : [ ] } \n", nil},
	{"every kind accepted", `{"n":null,"t":true,"f":false,"i":-1,"d":1.5e+3,"s":"\u00e9\n","a":[1,[]],"o":{"x":{}}}`, nil},
	{"surrogate pair accepted", `{"a":"\ud83d\ude00"}`, nil},
	{"same name in sibling objects accepted", `{"a":{"x":1},"b":{"x":1}}`, nil},
	{"names that differ in case accepted", `{"a":1,"A":2}`, nil},
	{"empty input refused", ``, strictjson.ErrSyntax},
	{"array refused", `[]`, strictjson.ErrSyntax},
	{"string refused", `"a"`, strictjson.ErrSyntax},
	{"null refused", `null`, strictjson.ErrSyntax},
	{"byte order mark refused", "\xef\xbb\xbf{}", strictjson.ErrSyntax},
	{"UTF-16 refused", "{\x00}\x00", strictjson.ErrSyntax},
	{"trailing data refused", `{}{}`, strictjson.ErrSyntax},
	{"trailing NUL refused", "{}\x00", strictjson.ErrSyntax},
	{"trailing comma refused", `{"a":1,}`, strictjson.ErrSyntax},
	{"trailing comma in array refused", `{"a":[1,]}`, strictjson.ErrSyntax},
	{"missing comma refused", `{"a":1 "b":2}`, strictjson.ErrSyntax},
	{"missing value refused", `{"a":}`, strictjson.ErrSyntax},
	{"missing colon refused", `{"a" 1}`, strictjson.ErrSyntax},
	{"unclosed object refused", `{"a":1`, strictjson.ErrSyntax},
	{"unclosed string refused", `{"a`, strictjson.ErrSyntax},
	{"escape at the end refused", `{"a\`, strictjson.ErrSyntax},
	{"comment refused", `{"a":1/**/}`, strictjson.ErrSyntax},
	{"single quotes refused", `{'a':1}`, strictjson.ErrSyntax},
	{"bare name refused", `{a:1}`, strictjson.ErrSyntax},
	{"raw line break in string refused", "{\"a\":\"\n\"}", strictjson.ErrSyntax},
	{"unknown escape refused", `{"a":"\x41"}`, strictjson.ErrSyntax},
	{"short unicode escape refused", `{"a":"\u00e"}`, strictjson.ErrSyntax},
	{"leading zero refused", `{"a":01}`, strictjson.ErrSyntax},
	{"leading plus refused", `{"a":+1}`, strictjson.ErrSyntax},
	{"point without digits refused", `{"a":1.}`, strictjson.ErrSyntax},
	{"exponent without digits refused", `{"a":1e}`, strictjson.ErrSyntax},
	{"NaN refused", `{"a":NaN}`, strictjson.ErrSyntax},
	{"Infinity refused", `{"a":-Infinity}`, strictjson.ErrSyntax},
	{"capital literal refused", `{"a":True}`, strictjson.ErrSyntax},
	{"duplicate refused", `{"a":1,"a":1}`, strictjson.ErrDuplicate},
	{"escaped duplicate refused", `{"a":1,"\u0061":1}`, strictjson.ErrDuplicate},
	{"nested duplicate refused", `{"a":{"b":1,"b":2}}`, strictjson.ErrDuplicate},
	{"duplicate in array refused", `{"a":[{"b":1,"b":2}]}`, strictjson.ErrDuplicate},
	{"empty duplicate name refused", `{"":1,"":2}`, strictjson.ErrDuplicate},
	{"invalid UTF-8 refused", "{\"a\":\"\xff\"}", strictjson.ErrUTF8},
	{"overlong UTF-8 refused", "{\"a\":\"\xc0\xaf\"}", strictjson.ErrUTF8},
	{"encoded surrogate refused", "{\"a\":\"\xed\xa0\x80\"}", strictjson.ErrUTF8},
	{"invalid UTF-8 in a name refused", "{\"\xff\":1}", strictjson.ErrUTF8},
	{"lone high surrogate refused", `{"a":"\ud83d"}`, strictjson.ErrUTF8},
	{"lone low surrogate refused", `{"a":"\ude00"}`, strictjson.ErrUTF8},
	{"two high surrogates refused", `{"a":"\ud83d\ud83d"}`, strictjson.ErrUTF8},
	{"depth at the limit accepted", `{"a":[[[]]]}`, nil},
	{"depth over the limit refused", `{"a":[[[[]]]]}`, strictjson.ErrDepth},
	{"200,000 levels refused", `{"a":` + strings.Repeat("[", 200_000), strictjson.ErrDepth},
	{"members over the limit refused", `{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1}`, strictjson.ErrMembers},
}

func TestParse(t *testing.T) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := strictjson.Parse([]byte(tc.in), limits, nil)
			if !errors.Is(err, tc.want) {
				t.Errorf("Parse = %v, want %v", err, tc.want)
			}
			if err == nil && !json.Valid([]byte(tc.in)) {
				t.Error("accepted what encoding/json refuses")
			}
		})
	}
}

func TestValues(t *testing.T) {
	m, err := strictjson.Parse([]byte(`{"s":"a\u0062\ud83d\ude00\"\\\/\b\f\n\r\t","i":-42,"f":1.0,"e":1e3,"big":9223372036854775808,
		"b":true,"l":["x","\u0079"],"mixed":["x",1],"empty":[ ],"Sub":"no"}`), strictjson.Limits{Depth: 4, Members: 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := m.Get("s").String(); !ok || s != "ab😀\"\\/\b\f\n\r\t" {
		t.Errorf("string = %q, %v", s, ok)
	}
	if n, ok := m.Get("i").Int(); !ok || n != -42 {
		t.Errorf("integer = %d, %v", n, ok)
	}
	for _, name := range []string{"f", "e", "big", "s", "b", "absent"} {
		if _, ok := m.Get(name).Int(); ok {
			t.Errorf("%s taken for an integer", name)
		}
	}
	if b, ok := m.Get("b").Bool(); !ok || !b {
		t.Errorf("boolean = %v, %v", b, ok)
	}
	if l, ok := m.Get("l").Strings(); !ok || len(l) != 2 || l[1] != "y" {
		t.Errorf("strings = %q, %v", l, ok)
	}
	if l, ok := m.Get("empty").Strings(); !ok || len(l) != 0 {
		t.Errorf("empty array = %q, %v", l, ok)
	}
	if _, ok := m.Get("mixed").Strings(); ok {
		t.Error("mixed array taken for strings")
	}
	if m.Get("sub").Kind() != strictjson.Missing {
		t.Error("names matched without regard to case")
	}
}

// twin is Parse as one would write it without a thought for its cost: a pass for
// each rule, and encoding/json for the grammar.
func twin(data []byte, lim strictjson.Limits) bool {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if !json.Valid(data) || !utf8.Valid(data) || trimmed[0] != '{' || loneSurrogate(string(data)) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return twinValue(dec, lim, 0)
}

func twinValue(dec *json.Decoder, lim strictjson.Limits, depth int) bool {
	token, err := dec.Token()
	if err != nil {
		return false
	}
	open, nested := token.(json.Delim)
	if !nested {
		return true
	}
	if depth++; depth > lim.Depth {
		return false
	}
	names := map[string]bool{}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil || names[name.(string)] || len(names) == lim.Members {
				return false
			}
			names[name.(string)] = true
		}
		if !twinValue(dec, lim, depth) {
			return false
		}
	}
	_, err = dec.Token()
	return err == nil
}

// loneSurrogate looks through text that is valid JSON, where a backslash is
// always in a string.
func loneSurrogate(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		r := hex(text[i+1 : i+5])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if len(text) < i+7 || text[i+1:i+3] != "\\u" || utf16.DecodeRune(r, hex(text[i+3:i+7])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

func hex(s string) rune {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return 0
	}
	return rune(n)
}

func TestTwinAgreesWithTheTable(t *testing.T) {
	for _, tc := range cases {
		if got := twin([]byte(tc.in), limits); got != (tc.want == nil) {
			t.Errorf("%s: the twin says %t", tc.name, got)
		}
	}
}

func FuzzParseAsItsTwin(f *testing.F) {
	for _, tc := range cases {
		if len(tc.in) < 1000 {
			f.Add([]byte(tc.in))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := strictjson.Parse(data, limits, nil)
		if got := twin(data, limits); got != (err == nil) {
			t.Fatalf("Parse = %v, the twin accepts: %t", err, got)
		}
	})
}

// A claim set of the usual size is read without an allocation.
func TestParseTextAllocatesNothing(t *testing.T) {
	const claims = `{"iss":"https://auth.example.test","sub":"1","aud":["a"],"iat":1767225590,"exp":1767226200,"jti":"x","roles":["r"]}`
	var space [24]strictjson.Member
	if n := testing.AllocsPerRun(100, func() {
		m, err := strictjson.ParseText(claims, limits, space[:0])
		if s, ok := m.Get("iss").Text(); err != nil || !ok || s == "" {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is accepted must mean the same to encoding/json.
func FuzzParse(f *testing.F) {
	for _, tc := range cases {
		if len(tc.in) < 1000 {
			f.Add([]byte(tc.in))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := strictjson.Parse(data, strictjson.Limits{Depth: 16, Members: 64}, nil)
		if err != nil {
			return
		}
		var twin map[string]json.RawMessage
		if err := json.Unmarshal(data, &twin); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if len(twin) != len(m) {
			t.Fatalf("%d members, encoding/json has %d", len(m), len(twin))
		}
		for _, member := range m {
			compare(t, member, twin[member.Name()])
		}
	})
}

func compare(t *testing.T, m strictjson.Member, twin json.RawMessage) {
	if string(m.Value.Raw()) != string(twin) {
		t.Fatalf("%q = %q, encoding/json has %q", m.Name(), m.Value.Raw(), twin)
	}
	if s, ok := m.Value.String(); ok {
		var want string
		if err := json.Unmarshal(twin, &want); err != nil || s != want {
			t.Fatalf("%q = %q, encoding/json has %q, %v", m.Name(), s, want, err)
		}
	}
	if l, ok := m.Value.Strings(); ok {
		var want []string
		if err := json.Unmarshal(twin, &want); err != nil || strings.Join(l, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q = %q, encoding/json has %q, %v", m.Name(), l, want, err)
		}
	}
}
