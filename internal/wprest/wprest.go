// Package wprest is what clients of the REST API of WordPress see of any route,
// whichever plugin it belongs to: the envelope of errors, how parameters are
// read, and the forms of some values. It knows no plugin and no account.
//
// Codes, statuses and names are those of WordPress; the sentences are not.
package wprest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Error is an error in WordPress's envelope: {code, message, data:{status}}.
type Error struct {
	// Code is for programs, Message for people.
	Code, Message string
	// Status is the HTTP status, and the member status of data.
	Status int
	// Data has further members of data.
	Data map[string]any
	// Cause is the reason for logs and records; it is not shown.
	Cause error
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// NoRoute is said of an unknown address, and of a method that it does not
// answer: WordPress does not tell these apart.
func NoRoute() *Error {
	return &Error{Code: "rest_no_route", Message: "There is nothing at this address for that method.", Status: http.StatusNotFound}
}

// MissingParams names the required parameters that were not given.
func MissingParams(names ...string) *Error {
	return &Error{Code: "rest_missing_callback_param", Message: "Required parameters are missing: " + strings.Join(names, ", ") + ".",
		Status: http.StatusBadRequest, Data: map[string]any{"params": names}}
}

// InvalidParams names the parameters that have the wrong type, contradict
// themselves, or are out of range; reason says which for all of them.
func InvalidParams(reason string, names ...string) *Error {
	params, details := map[string]string{}, map[string]any{}
	for _, name := range names {
		params[name] = reason
		details[name] = map[string]any{"code": "rest_invalid_type", "message": reason, "data": nil}
	}
	return &Error{Code: "rest_invalid_param", Message: "Parameters are not valid: " + strings.Join(names, ", ") + ".",
		Status: http.StatusBadRequest, Data: map[string]any{"params": params, "details": details}}
}

// InvalidJSON is said of a body that calls itself JSON and is no JSON object, or
// one that two readers could understand differently.
func InvalidJSON() *Error {
	return &Error{Code: "rest_invalid_json", Message: "The body is not one valid JSON object.", Status: http.StatusBadRequest,
		Data: map[string]any{"json_error_code": 4, "json_error_message": "Syntax error"}} // JSON_ERROR_SYNTAX
}

// Forbidden is said of a route that needs a right: 401 to an anonymous caller,
// 403 to one who is known.
func Forbidden(anonymous bool) *Error {
	e := &Error{Code: "rest_forbidden", Message: "You are not allowed to do that.", Status: http.StatusForbidden}
	if anonymous {
		e.Status = http.StatusUnauthorized
	}
	return e
}

// NotLoggedIn is said of a route about oneself.
func NotLoggedIn() *Error {
	return &Error{Code: "rest_not_logged_in", Message: "You are not logged in.", Status: http.StatusUnauthorized}
}

// TooLarge is said of a body beyond the limit of [ReadBody].
func TooLarge() *Error {
	return &Error{Code: "request_too_large", Message: "The body is too large.", Status: http.StatusRequestEntityTooLarge}
}

// BadBody is said of a body that could not be read.
func BadBody() *Error {
	return &Error{Code: "bad_request", Message: "The body could not be read.", Status: http.StatusBadRequest}
}

// WriteError answers with an error.
func WriteError(w http.ResponseWriter, e *Error) {
	data := map[string]any{"status": e.Status}
	for name, v := range e.Data {
		data[name] = v
	}
	if e.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	WriteJSON(w, e.Status, struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Data    map[string]any `json:"data"`
	}{e.Code, e.Message, data})
}

// Document is JSON that is the same for everybody and goes out as it is written.
type Document []byte

// WriteJSON answers with the headers of every answer of the REST API. What is
// answered is for one caller, so nobody may keep it, unless it is a [Document] or
// the handler has already said otherwise.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	data, written := body.(Document)
	if written {
		h.Set("Cache-Control", "public, max-age=300")
	} else {
		data, status = marshal(body, status)
	}
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that is gone needs no answer
}

func marshal(body any, status int) (data []byte, _ int) {
	data, err := json.Marshal(body)
	if err != nil { // the types of the dialects always marshal
		return []byte(`{"code":"internal_error","message":"","data":{"status":500}}`), http.StatusInternalServerError
	}
	return append(data, '\n'), status
}

// ID shows a decimal id as a number, as WordPress does, and any other as a
// string. A number that a JavaScript client could not hold exactly (RFC 8259,
// section 6) stays a string.
type ID string

// MarshalJSON implements [json.Marshaler].
func (id ID) MarshalJSON() ([]byte, error) {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err == nil && n >= 0 && n < 1<<53 && strconv.FormatInt(n, 10) == string(id) {
		return []byte(id), nil
	}
	return json.Marshal(string(id))
}

// UnmarshalJSON reads either form.
func (id *ID) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(id))
	}
	var n json.Number
	err := json.Unmarshal(data, &n)
	*id = ID(n)
	return err
}

// Nicename makes the form of a name that WordPress puts into addresses: lower
// case, with dashes for spaces and dots, without anything else.
func Nicename(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_':
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(r)
		case r == '-', r == '.', r == ' ':
			dash = true
		}
	}
	return b.String()
}

// NicenameOf is the nicename that was chosen, else one made of the user name,
// else the id.
func NicenameOf(chosen, login, id string) string {
	if chosen != "" {
		return chosen
	}
	if name := Nicename(login); name != "" {
		return name
	}
	return id
}

// Route is one route of a dialect.
type Route struct {
	// Method and Path are in the syntax of [http.ServeMux].
	Method, Path string
	Handler      http.Handler
}

// Router answers the paths of one namespace. One slash at the end makes no
// difference; every other second spelling of a path is unknown, as is a method
// that a path does not answer. OPTIONS tells the methods.
func Router(routes []Route) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, route := range routes {
		mux.Handle(route.Method+" "+route.Path, route.Handler)
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	for path, list := range methods {
		mux.Handle("OPTIONS "+path, options(list))
		mux.HandleFunc(path, noRoute)
	}
	mux.HandleFunc("/", noRoute)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := Path(r.URL.Path)
		if !ok || r.URL.RawPath != "" {
			noRoute(w, r)
			return
		}
		if p != r.URL.Path {
			r = At(r, p)
		}
		mux.ServeHTTP(w, r)
	})
}

func noRoute(w http.ResponseWriter, _ *http.Request) { WriteError(w, NoRoute()) }

func options(methods []string) http.Handler {
	if slices.Contains(methods, "GET") {
		methods = append(slices.Clone(methods), "HEAD")
	}
	methods = append(slices.Clone(methods), "OPTIONS")
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		WriteJSON(w, http.StatusOK, map[string]any{"methods": methods})
	})
}

// Path takes one slash off the end of a path. It reports false for a path that
// a mux or a proxy could read as another: two spellings of one path invite rules
// that see only one of them.
func Path(p string) (string, bool) {
	if p == "/" {
		return p, true
	}
	p = strings.TrimSuffix(p, "/")
	if p == "" || p[0] != '/' || strings.Contains(p, `\`) {
		return "", false
	}
	for segment := range strings.SplitSeq(p[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
	}
	return p, true
}

// At returns the request as it would be at another path.
func At(r *http.Request, path string) *http.Request {
	other := *r
	u := *r.URL
	u.Path, u.RawPath = path, ""
	other.URL = &u
	return &other
}
