package jwtauth_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/docs/openapi"
)

// document is what these tests read of an OpenAPI document.
type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas   map[string]schema
		Responses map[string]struct {
			Content map[string]struct{ Schema schema }
		}
		Examples map[string]struct{ Value json.RawMessage }
	}
}

type operation struct {
	OperationID string
	Responses   map[string]struct {
		Ref string `json:"$ref"`
	}
}

type schema struct {
	Enum       []any
	AllOf      []schema
	Properties map[string]schema
}

func nativeDocument(t *testing.T) (d document) {
	t.Helper()
	if err := json.Unmarshal(openapi.Native(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// everything has each route that there can be.
func everything(t *testing.T) *jwtauth.Auth {
	a, _ := newAuth(t, cookies)
	return a
}

func TestOpenAPIDocumentIsServed(t *testing.T) {
	a, _ := newAuth(t)
	r := send(t, a.Handler(), request{method: "GET", path: "/openapi.json"})
	if r.status != 200 || r.text != string(openapi.Native()) {
		t.Errorf("answered %d with %d bytes", r.status, len(r.text))
	}
	for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "public, max-age=300",
		"X-Content-Type-Options": "nosniff", "X-RateLimit-Limit": ""} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if list := must(a.Events(bg, jwtauth.EventFilter{}))(t); len(list) != 0 {
		t.Errorf("reading the document left the records %v", list)
	}
	if r := send(t, a.Handler(), request{method: "HEAD", path: "/openapi.json"}); r.status != 200 {
		t.Errorf("HEAD answered %d", r.status)
	}
	wantError(t, post(t, a.Handler(), "/openapi.json", nil), 405, "method_not_allowed")
}

func TestOpenAPIDocumentCanBeSwitchedOff(t *testing.T) {
	a, _ := newAuth(t, func(cfg *jwtauth.Config) {
		cfg.Access.Endpoints = map[string]jwtauth.AccessRule{"openapi": {Off: true}}
	})
	wantError(t, send(t, a.Handler(), request{method: "GET", path: "/openapi.json"}), 404, "rest_no_route")
}

// An operation is called as its route, in the spelling of programs: endSession
// for end-session.
func TestOpenAPIDocumentHasTheRoutes(t *testing.T) {
	got := map[string]string{}
	for path, methods := range nativeDocument(t).Paths {
		for method, op := range methods {
			got[strings.ToUpper(method)+" "+path] = op.OperationID
		}
	}
	want := map[string]string{}
	for _, r := range everything(t).Routes() {
		want[r.Method+" "+r.Path] = camelCase(r.Name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the document has\n%v, the routes are\n%v", got, want)
	}
}

func camelCase(name string) string {
	words := strings.Split(name, "-")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// The list of codes is that of the source. One code never leaves: trail_broken is
// for callers in Go, and an endpoint would answer internal_error.
func TestOpenAPIDocumentHasTheCodes(t *testing.T) {
	want := errorCodes(t)
	delete(want, jwtauth.ErrTrailBroken.Code)
	got := texts(t, nativeDocument(t).Components.Schemas["ErrorCode"].Enum)
	if missing, extra := difference(slices.Collect(maps.Keys(want)), got); missing != nil || extra != nil {
		t.Errorf("ErrorCode lacks %v and has %v, which do not exist", missing, extra)
	}
}

// Each code can be found at some operation, under its status, and each answer
// that refuses names its codes. What no operation can answer is method_not_allowed.
func TestOpenAPIDocumentHasEachCodeUnderItsStatus(t *testing.T) {
	d := nativeDocument(t)
	found := map[string]bool{"method_not_allowed": true}
	for path, methods := range d.Paths {
		for method, op := range methods {
			for status, r := range op.Responses {
				if status < "400" {
					continue
				}
				codes := d.codes(t, r.Ref)
				if len(codes) == 0 {
					t.Errorf("%s %s %s names no code", method, path, status)
				}
				for _, code := range codes {
					found[code] = true
					if want := strconv.Itoa(jwtauth.Status(&jwtauth.Error{Code: code})); status != want {
						t.Errorf("%s %s has %s under %s, its status is %s", method, path, code, status, want)
					}
				}
			}
		}
	}
	for _, code := range texts(t, d.Components.Schemas["ErrorCode"].Enum) {
		if !found[code] {
			t.Errorf("no operation answers %s", code)
		}
	}
}

// codes are those of a response that refuses.
func (d document) codes(t *testing.T, ref string) (codes []string) {
	t.Helper()
	r, ok := d.Components.Responses[strings.TrimPrefix(ref, "#/components/responses/")]
	if !ok {
		t.Fatalf("there is no %s", ref)
	}
	for _, part := range r.Content["application/json"].Schema.AllOf {
		codes = append(codes, texts(t, part.Properties["code"].Enum)...)
	}
	return codes
}

// What is shown as the answer for a code is what the API says.
func TestOpenAPIDocumentShowsErrorsAsTheyAre(t *testing.T) {
	n := 0
	for name, example := range nativeDocument(t).Components.Examples {
		var body struct {
			Code, Message string
			Data          struct{ Status int }
		}
		if json.Unmarshal(example.Value, &body) != nil || body.Data.Status == 0 {
			continue
		}
		n++
		if want := jwtauth.Status(&jwtauth.Error{Code: body.Code}); body.Data.Status != want || body.Message == "" {
			t.Errorf("example %s has the status %d, want %d, and says %q", name, body.Data.Status, want, body.Message)
		}
	}
	if n < 20 {
		t.Errorf("found %d examples of errors", n)
	}
}

func TestOpenAPIDocumentHasTheEvents(t *testing.T) {
	got := texts(t, nativeDocument(t).Components.Schemas["EventName"].Enum)
	if missing, extra := difference(declaredEvents(t), got); missing != nil || extra != nil {
		t.Errorf("EventName lacks %v and has %v, which do not exist", missing, extra)
	}
}

// declaredEvents returns the values of the constants Event… of the source.
func declaredEvents(t *testing.T) (names []string) {
	t.Helper()
	f := must(parser.ParseFile(token.NewFileSet(), "event.go", nil, 0))(t)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Event") || len(spec.Values) == 0 {
			return true
		}
		names = append(names, must(strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value))(t))
		return true
	})
	if len(names) < 20 {
		t.Fatalf("found only %v in the source", names)
	}
	return names
}

func texts(t *testing.T, values []any) (list []string) {
	t.Helper()
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			t.Fatalf("%v is no text", v)
		}
		list = append(list, text)
	}
	return list
}

// difference returns what each list has that the other one lacks.
func difference(want, got []string) (missing, extra []string) {
	for _, s := range want {
		if !slices.Contains(got, s) {
			missing = append(missing, s)
		}
	}
	for _, s := range got {
		if !slices.Contains(want, s) {
			extra = append(extra, s)
		}
	}
	return missing, extra
}
