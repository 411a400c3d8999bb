package wprest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/token": "/token", "/token/": "/token", "/token/validate/": "/token/validate", "/admin/tokens/a-_.b": "/admin/tokens/a-_.b",
		"": "", "token": "", "//": "", "//token": "", "/token//": "", "/a//b": "", "/.": "", "/..": "", "/a/../b": "", "/a/.": "", `/a\b`: "", `\`: "",
	} {
		if got, ok := wprest.Path(in); got != want || ok != (want != "") {
			t.Errorf("Path(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

// FuzzPath: what is accepted is clean, and accepted again as it is.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/token/", "//x", "/a/../b", `/a\b`} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		got, ok := wprest.Path(p)
		if !ok {
			return
		}
		if again, ok := wprest.Path(got); !ok || again != got || path.Clean(got) != got || got != p && got+"/" != p {
			t.Fatalf("Path(%q) = %q", p, got)
		}
	})
}

func TestNicename(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "Alice Cooper": "alice-cooper", "alice@example.test": "aliceexample-test", "a.b.": "a-b", "--a--b--": "a-b",
		"J_D": "j_d", "Łukasz": "ukasz", "日本": "", "": "",
	} {
		if got := wprest.Nicename(in); got != want {
			t.Errorf("Nicename(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNicenameOf(t *testing.T) {
	for want, in := range map[string][3]string{
		"chosen": {"chosen", "Alice", "7"}, "alice": {"", "Alice", "7"}, "7": {"", "日本", "7"},
	} {
		if got := wprest.NicenameOf(in[0], in[1], in[2]); got != want {
			t.Errorf("NicenameOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestID(t *testing.T) {
	for in, want := range map[string]string{
		"1": `1`, "9007199254740991": `9007199254740991`, "9007199254740992": `"9007199254740992"`, "007": `"007"`, "-1": `"-1"`, "+1": `"+1"`, "u-1": `"u-1"`, "": `""`,
	} {
		if got, err := json.Marshal(wprest.ID(in)); err != nil || string(got) != want {
			t.Errorf("%q is shown as %s (%v), want %s", in, got, err, want)
		}
	}
}

// object is the JSON of a test.
type object map[string]any

func (o object) Text(name string) (string, bool, bool) {
	v, given := o[name]
	s, ok := v.(string)
	return s, given, ok
}

func parse(data []byte) (wprest.Members, error) {
	var o object
	return o, json.Unmarshal(data, &o)
}

const multi = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nfile\r\n--b--\r\n"

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, media, body, query string
		want                     string
		err                      string
	}{
		{name: "query", query: "a=one+two", want: "one two"},
		{name: "JSON", media: "application/json", body: `{"a":"one"}`, want: "one"},
		{name: "JSON with its charset", media: "application/json; charset=UTF-8", body: `{"a":"one"}`, want: "one"},
		{name: "JSON before the query, if they agree", media: "application/json", body: `{"a":"one"}`, query: "a=one", want: "one"},
		{name: "JSON that contradicts the query", media: "application/json", body: `{"a":"one"}`, query: "a=two", err: "rest_invalid_param"},
		{name: "JSON number", media: "application/json", body: `{"a":1}`, err: "rest_invalid_param"},
		{name: "JSON null", media: "application/json", body: `{"a":null}`, err: "rest_invalid_param"},
		{name: "JSON that is none", media: "application/json", body: `{"a"`, err: "rest_invalid_json"},
		{name: "empty JSON has no parameters", media: "application/json", err: "absent"},
		{name: "form", media: "application/x-www-form-urlencoded", body: "a=one%2Btwo", want: "one+two"},
		{name: "form twice, alike", media: "application/x-www-form-urlencoded", body: "a=one&a=one", want: "one"},
		{name: "form twice, differently", media: "application/x-www-form-urlencoded", body: "a=one&a=two", err: "rest_invalid_param"},
		{name: "form that can't be decoded", media: "application/x-www-form-urlencoded", body: "a=%zz", err: "bad_request"},
		{name: "form of too many fields", media: "application/x-www-form-urlencoded", body: strings.Repeat("b=1&", 200) + "a=one", err: "bad_request"},
		{name: "multipart", media: "multipart/form-data; boundary=b", body: multi, want: "one\r\ntwo"},
		{name: "multipart without its end", media: "multipart/form-data; boundary=b", body: multi[:60], err: "bad_request"},
		{name: "multipart without a boundary", media: "multipart/form-data", body: multi, err: "bad_request"},
		{name: "multipart of too many parts", media: "multipart/form-data; boundary=b", body: strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\r\n", 200) + "--b--\r\n", err: "bad_request"},
		{name: "text has no parameters", media: "text/plain", body: `{"a":"one"}`, err: "absent"},
		{name: "JSON in another charset has none", media: "application/json; charset=utf-16", body: `{"a":"one"}`, err: "absent"},
		{name: "something like JSON has none", media: "application/jsonx", body: `{"a":"one"}`, err: "absent"},
		{name: "no media type has none", body: `{"a":"one"}`, err: "absent"},
		{name: "too large", media: "application/json", body: strings.Repeat(" ", wprest.MaxBody+1), err: "request_too_large"},
		{name: "largest", media: "application/json", body: strings.Repeat(" ", wprest.MaxBody-len(`{"a":"one"}`)) + `{"a":"one"}`, want: "one"},
	} {
		for _, method := range []string{"POST", "GET", "PUT", "DELETE"} {
			t.Run(tc.name+", "+method, func(t *testing.T) {
				r := httptest.NewRequest(method, "/?"+tc.query, strings.NewReader(tc.body))
				if tc.media != "" {
					r.Header.Set("Content-Type", tc.media)
				}
				got, code := readOne(r)
				if got != tc.want || code != tc.err {
					t.Errorf("a = %q, %q; want %q, %q", got, code, tc.want, tc.err)
				}
			})
		}
	}
	for name, h := range map[string]http.Header{
		"two media types":  {"Content-Type": {"application/json", "text/plain"}},
		"compressed":       {"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		"no media type of": {"Content-Type": {"application"}},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{"a":"one"}`))
		r.Header = h
		if got, code := readOne(r); code != "absent" && !(name == "no media type of" && got == "") {
			t.Errorf("%s: a = %q, %q", name, got, code)
		}
	}
}

// readOne reads the parameter a of a request.
func readOne(r *http.Request) (text, code string) {
	p, e := wprest.Read(httptest.NewRecorder(), r, parse)
	if e != nil {
		return "", e.Code
	}
	text, given, e := p.Text("a")
	switch {
	case e != nil:
		return "", e.Code
	case !given:
		return "", "absent"
	}
	return text, ""
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestBodyThatBreaksOff(t *testing.T) {
	r := httptest.NewRequest("POST", "/", badReader{})
	if _, code := readOne(r); code != "bad_request" {
		t.Errorf("read as %q", code)
	}
}

func TestRequired(t *testing.T) {
	p, _ := wprest.Read(httptest.NewRecorder(), httptest.NewRequest("POST", "/?a=1&b=", nil), parse)
	if got, e := p.Required("a", "b"); e != nil || !reflect.DeepEqual(got, []string{"1", ""}) {
		t.Errorf("Required = %q, %v", got, e)
	}
	if _, e := p.Required("x", "a", "y"); e == nil || !reflect.DeepEqual(e.Data["params"], []string{"x", "y"}) || e.Status != 400 {
		t.Errorf("missing parameters: %v", e)
	}
}

// FuzzForm: a form of either kind is read without a fault, and what is read
// from one can be written as another.
func FuzzForm(f *testing.F) {
	f.Add("multipart/form-data", "b", multi)
	f.Add("application/x-www-form-urlencoded", "", "a=1&b=2")
	f.Fuzz(func(t *testing.T, media, boundary, body string) {
		form, err := wprest.ParseForm(media, map[string]string{"boundary": boundary}, []byte(body))
		if err != nil {
			return
		}
		again, err := url.ParseQuery(form.Encode())
		if err != nil || len(again) != len(form) {
			t.Fatalf("read %v", form)
		}
	})
}

func TestRouter(t *testing.T) {
	h := wprest.Router([]wprest.Route{
		{Method: "GET", Path: "/items/{id}", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			wprest.WriteJSON(w, 200, r.PathValue("id"))
		})},
		{Method: "DELETE", Path: "/items/{id}", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })},
	})
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/items/a", 200}, {"HEAD", "/items/a", 200}, {"GET", "/items/a/", 200}, {"DELETE", "/items/a", 204},
		{"POST", "/items/a", 404}, {"GET", "/items", 404}, {"GET", "/", 404}, {"GET", "/items/a/b", 404}, {"GET", "/Items/a", 404},
		{"GET", "//items/a", 404}, {"GET", "/x/../items/a", 404}, {"GET", "/%69tems/a", 404}, {"GET", "/items/a%2Fb", 404},
		{"OPTIONS", "/items/a", 200}, {"OPTIONS", "/nowhere", 404}, {"BREW", "/items/a", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.target, nil))
		if w.Code != tc.status {
			t.Errorf("%s %s answered %d, want %d", tc.method, tc.target, w.Code, tc.status)
		}
		if tc.method == "OPTIONS" && tc.status == 200 && w.Header().Get("Allow") != "DELETE, GET, HEAD, OPTIONS" {
			t.Errorf("Allow: %s", w.Header().Get("Allow"))
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		err  *wprest.Error
		want string
	}{
		{wprest.NoRoute(), `{"code":"rest_no_route","message":"There is nothing at this address for that method.","data":{"status":404}}`},
		{wprest.MissingParams("a", "b"), `{"code":"rest_missing_callback_param","message":"Required parameters are missing: a, b.","data":{"params":["a","b"],"status":400}}`},
		{wprest.InvalidParams("No.", "a"), `{"code":"rest_invalid_param","message":"Parameters are not valid: a.","data":{"details":{"a":{"code":"rest_invalid_type","data":null,"message":"No."}},"params":{"a":"No."},"status":400}}`},
		{wprest.InvalidJSON(), `{"code":"rest_invalid_json","message":"The body is not one valid JSON object.","data":{"json_error_code":4,"json_error_message":"Syntax error","status":400}}`},
		{wprest.Forbidden(true), `{"code":"rest_forbidden","message":"You are not allowed to do that.","data":{"status":401}}`},
		{wprest.Forbidden(false), `{"code":"rest_forbidden","message":"You are not allowed to do that.","data":{"status":403}}`},
		{wprest.NotLoggedIn(), `{"code":"rest_not_logged_in","message":"You are not logged in.","data":{"status":401}}`},
	} {
		w := httptest.NewRecorder()
		wprest.WriteError(w, tc.err)
		if got := strings.TrimSpace(w.Body.String()); got != tc.want || w.Code != tc.err.Status {
			t.Errorf("answered %d %s, want %s", w.Code, got, tc.want)
		}
		if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || (w.Code == 401) != (h.Get("WWW-Authenticate") != "") {
			t.Errorf("%d has headers %v", w.Code, h)
		}
		if !strings.HasPrefix(tc.err.Error(), tc.err.Code) {
			t.Errorf("it reads %q", tc.err)
		}
	}
}

func TestDocument(t *testing.T) {
	w := httptest.NewRecorder()
	wprest.WriteJSON(w, 200, wprest.Document("{ \"a\": \"<\" }\n"))
	if w.Body.String() != "{ \"a\": \"<\" }\n" || w.Header().Get("Cache-Control") != "public, max-age=300" || w.Header().Get("Content-Type") != "application/json; charset=UTF-8" {
		t.Errorf("answered %q with %v", w.Body, w.Header())
	}
}
