package simplejwtlogin

// Internal, since the parser is behind every route and a fuzzer gets further
// without the routes.

import (
	"encoding/json"
	"maps"
	"testing"
	"unicode/utf8"
)

func TestParseBody(t *testing.T) {
	multi := func(parts string) string { return parts + "--XX--\r\n" }
	field := func(disposition, value string) string {
		return "--XX\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + value + "\r\n"
	}
	for _, tc := range []struct {
		name, boundary, body string
		want                 map[string]string // a[b] for members
	}{
		{"pairs", "", "a=1&b=x+y%20z&c", map[string]string{"a": "1", "b": "x y z", "c": ""}},
		{"semicolons and percent signs stand for themselves", "", "p=a;b&q=100%&r=%zz+1", map[string]string{"p": "a;b", "q": "100%", "r": "%zz+1"}},
		{"brackets nest once", "", "m[a]=1&m[b]=2&n[]=3&o[a][b]=4&[c]=5&d[e=6", map[string]string{"m[a]": "1", "m[b]": "2"}},
		{"the same twice is once", "", "a=1&a=1", map[string]string{"a": "1"}},
		{"JSON texts, numbers and booleans", "", ` {"a":"x","b":1.50,"c":true,"d":null,"e":[1],"f":{"g":"h","i":{"j":1},"k":null}}`,
			map[string]string{"a": "x", "b": "1.50", "c": "true", "f[g]": "h", "f[i]": `{"j":1}`}},
		{"fields of a form", "XX", multi(field(`name="a"`, "1\r\n2") + field(`name="m[b]"`, "=?&")), map[string]string{"a": "1\r\n2", "m[b]": "=?&"}},
		{"files left out", "XX", multi(field(`name="a"; filename="x"`, "1") + field(`name="b"`, "2")), map[string]string{"b": "2"}},
		{"encodings of mail left alone", "XX", multi("--XX\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nMQ==\r\n"), map[string]string{"a": "MQ=="}},
		{"array is nothing", "", `[1,2]`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := parseBody(tc.boundary, []byte(tc.body))
			if got := flat(p); err != nil || !maps.Equal(got, tc.want) {
				t.Errorf("read %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

func flat(p params) map[string]string {
	out := map[string]string{}
	for name, v := range p {
		if v.members == nil {
			out[name] = v.text
		}
		for inner, text := range v.members {
			out[name+"["+inner+"]"] = text
		}
	}
	return out
}

// FuzzParseBody checks that what is read is bounded, and the same again when it
// is written as JSON.
func FuzzParseBody(f *testing.F) {
	for _, seed := range [][2]string{{"", "a=1&b[c]=%41;&d=100%"}, {"", `{"a":"é","b":{"c":1},"d":false}`},
		{"XX", "--XX\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1\r\n--XX--\r\n"}} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, boundary string, data []byte) {
		p, err := parseBody(boundary, data)
		if err != nil {
			return
		}
		if len(p) > maxParams {
			t.Fatalf("%d parameters", len(p))
		}
		written := map[string]any{}
		for name, v := range p {
			if v.members != nil {
				written[name] = v.members
			} else {
				written[name] = v.text
			}
		}
		again, err := json.Marshal(written)
		if err != nil {
			t.Fatal(err)
		}
		q := params{}
		for name := range flat(p) {
			if !utf8.ValidString(name) {
				return
			}
		}
		if q.addJSON(again) != nil { // JSON may have fewer members
			return
		}
		for name, text := range flat(p) {
			if got := flat(q)[name]; utf8.ValidString(text) && got != text {
				t.Fatalf("%q is %q and then %q", name, text, got)
			}
		}
	})
}
