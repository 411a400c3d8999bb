package apitest_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/internal/apitest"
	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

const small = `{"openapi":"3.1.0","info":{"title":"small","version":"1"},"servers":[{"url":"/"}],
"paths":{"/things/{id}":{"put":{"operationId":"putThing","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}},
  {"name":"dry","in":"query","schema":{"type":"boolean"}}],
 "requestBody":{"content":{"application/json":{"schema":{"type":"object","properties":{"size":{"type":"integer"}},"required":["size"]}}}},
 "responses":{"200":{"description":"done","headers":{"X-Cost":{"required":true,"schema":{"type":"integer"}}},
   "content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},
  "403":{"description":"no","content":{"application/json":{"schema":{"allOf":[{"$ref":"#/components/schemas/Error"},
   {"type":"object","properties":{"code":{"enum":["forbidden"]}}}]}}}}}}}},
"components":{"schemas":{"Thing":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"],"additionalProperties":false},
 "Error":{"type":"object","properties":{"code":{"type":"string"}},"required":["code"],"additionalProperties":false}}}}`

// What a checker lets through it might as well not look at: each way in which an
// exchange can differ from the document is found.
func TestDifferencesAreFound(t *testing.T) {
	jsonType := http.Header{"Content-Type": {"application/json"}}
	good := func() recorder.Exchange {
		answer := maps.Clone(jsonType)
		answer.Set("X-Cost", "3")
		return recorder.Exchange{Test: "TestX/y", Method: "PUT", Target: "/api/things/7?dry=true", Header: jsonType, Body: []byte(`{"size":1}`),
			Status: 200, AnswerHeader: answer, Answer: []byte(`{"id":"7"}`)}
	}
	refusal := func(body string) func(*recorder.Exchange) {
		return func(e *recorder.Exchange) {
			e.Status, e.AnswerHeader, e.Body, e.Answer = 403, jsonType, []byte(`what ever`), []byte(body)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*recorder.Exchange)
		want   string // of the error; "" for none
	}{
		{"as documented", func(*recorder.Exchange) {}, ""},
		{"somewhere else", func(e *recorder.Exchange) { e.Target, e.Answer = "/api/others", nil }, ""},
		{"not this API", func(e *recorder.Exchange) { e.Target, e.Answer = "/things/7", nil }, ""},
		{"a method that is refused", func(e *recorder.Exchange) { e.Method, e.Status = "POST", 405 }, ""},
		{"a method that nobody knows", func(e *recorder.Exchange) { e.Method = "POST" }, "does not have this operation"},
		{"another status", func(e *recorder.Exchange) { e.Status = 201 }, "status 201"},
		{"a member too many in the answer", func(e *recorder.Exchange) { e.Answer = []byte(`{"id":"7","x":1}`) }, "answer"},
		{"a member of another type", func(e *recorder.Exchange) { e.Answer = []byte(`{"id":7}`) }, "answer"},
		{"a member that is absent", func(e *recorder.Exchange) { e.Answer = []byte(`{}`) }, "answer"},
		{"no JSON", func(e *recorder.Exchange) { e.Answer = []byte(`{`) }, "answer"},
		{"another media type", func(e *recorder.Exchange) {
			e.AnswerHeader = http.Header{"Content-Type": {"text/plain"}, "X-Cost": {"3"}}
		}, "answer"},
		{"a header that is absent", func(e *recorder.Exchange) { e.AnswerHeader.Del("X-Cost") }, "answer"},
		{"a header of another type", func(e *recorder.Exchange) { e.AnswerHeader.Set("X-Cost", "much") }, "answer"},
		{"a header too many", func(e *recorder.Exchange) { e.AnswerHeader.Set("X-New", "1") }, "answer"},
		{"a parameter of another type", func(e *recorder.Exchange) { e.Target = "/api/things/7?dry=perhaps" }, "request"},
		{"a parameter too many", func(e *recorder.Exchange) { e.Target = "/api/things/7?wet=true" }, "request"},
		{"a body that is wrong", func(e *recorder.Exchange) { e.Body = []byte(`{"size":"big"}`) }, "request"},
		{"a member too many in the request", func(e *recorder.Exchange) { e.Body = []byte(`{"size":1,"role":"x"}`) }, "request"},
		{"a header too many in the request", func(e *recorder.Exchange) {
			e.Header = http.Header{"Content-Type": {"application/json"}, "X-Role": {"x"}}
		}, "request"},
		{"a request that is refused may be anything", refusal(`{"code":"forbidden"}`), ""},
		{"a code that is not documented", refusal(`{"code":"go_away"}`), "answer"},
		{"a code of a hook", func(e *recorder.Exchange) { e.Test = "TestHook/one"; refusal(`{"code":"go_away"}`)(e) }, ""},
		{"more than a code from a hook", func(e *recorder.Exchange) { e.Test = "TestHook"; refusal(`{"code":"go_away","x":1}`)(e) }, "answer"},
		{"a test that sends more", func(e *recorder.Exchange) { e.Test, e.Body = "TestMore/a", []byte(`{"size":1,"role":"x"}`) }, ""},
		{"a test that sends more, and is answered more", func(e *recorder.Exchange) { e.Test = "TestMore"; e.AnswerHeader.Set("X-New", "1") }, "answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := apitest.Open(apitest.API{Document: []byte(small), Locate: apitest.Below("/api"), More: []string{"TestMore"},
				OwnCodes: []string{"TestHook"}, AsCode: "forbidden"})
			if err != nil {
				t.Fatal(err)
			}
			e := good()
			tc.change(&e)
			err = d.Check(e)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("found %v, want %q", err, tc.want)
			}
		})
	}
}

func TestWrongDocumentIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":                        `{`,
		"a response without a meaning":   strings.Replace(small, `"description":"done",`, ``, 1),
		"a reference that leads nowhere": strings.Replace(small, `schemas/Thing"`, `schemas/Nothing"`, 1),
	} {
		if _, err := apitest.Open(apitest.API{Document: []byte(text), Locate: apitest.Below("")}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAddressesAreFound(t *testing.T) {
	for _, tc := range []struct {
		target, want string // "" for none
	}{
		{"/wp-json/x/v1/things", "/things"},
		{"/wp-json/x/v1/things/?a=1", "/things?a=1"},
		{"/?rest_route=/x/v1/things&a=1", "/things?a=1"},
		{"/index.php?rest_route=/x/v1/things/", "/things"},
		{"/wp-json/x/v12/things", ""},
		{"/wp-json/y/v1/things", ""},
		{"/x/v1/things", ""},
		{"/", ""},
	} {
		u, err := url.ParseRequestURI(tc.target)
		if err != nil {
			t.Fatal(err)
		}
		at, ok := apitest.WordPress("x/v1")(u)
		if ok != (tc.want != "") || ok && at.String() != tc.want {
			t.Errorf("%s is %v, %v, want %q", tc.target, at, ok, tc.want)
		}
	}
}
