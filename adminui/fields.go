package adminui

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxForm bounds the body of a request.
	maxForm = 16 << 10
	// formTimeout is how long a body may take to arrive, where a host has no
	// ReadTimeout.
	formTimeout = 15 * time.Second
)

// fields are the parameters of a request, from its query or its form. A wrong
// one is noted, and err says so.
type fields struct {
	values url.Values
	bad    []string
}

// query reads the parameters of a page. Those that it does not know, or that are
// given twice, are errors.
func (v *visit) query(known ...string) (*fields, error) {
	values, err := url.ParseQuery(v.r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The address has parameters that can’t be read.")
	}
	return newFields(values, append(known, "done"))
}

// form reads what a page posts.
func (v *visit) form(known ...string) (*fields, error) {
	if v.r.URL.RawQuery != "" {
		return nil, badRequest("The address has parameters that belong into the form.")
	}
	data, err := v.readBody()
	if err != nil {
		return nil, err
	}
	media, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if len(data) > 0 && (err != nil || media != "application/x-www-form-urlencoded") {
		return nil, refusal{http.StatusUnsupportedMediaType, "The body is not a form."}
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, badRequest("The form can’t be read.")
	}
	return newFields(values, known)
}

func (v *visit) readBody() ([]byte, error) {
	conn := http.NewResponseController(v.w)
	_ = conn.SetReadDeadline(time.Now().Add(formTimeout)) // not every connection has one
	data, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, maxForm))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refusal{http.StatusRequestEntityTooLarge, "The form is too large."}
	case err != nil:
		return nil, badRequest("The form did not arrive.")
	}
	_ = conn.SetReadDeadline(time.Time{})
	return data, nil
}

func newFields(values url.Values, known []string) (*fields, error) {
	f := &fields{values: values}
	for name, list := range values {
		if !slices.Contains(known, name) || len(list) > 1 {
			return nil, badRequest("There is a parameter that this page does not know, or one that is given twice.")
		}
	}
	return f, nil
}

// text returns what somebody has typed, without spaces around it.
func (f *fields) text(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// raw returns a parameter as it is, such as an id or a password.
func (f *fields) raw(name string) string { return f.values.Get(name) }

// number returns a parameter that counts something, 0 if it is absent.
func (f *fields) number(name string) int64 {
	text := f.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		f.bad = append(f.bad, name)
	}
	return n
}

// timeLayouts are what browsers send for a date and time, and RFC 3339.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"}

func (f *fields) time(name string) time.Time {
	text := f.text(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	f.bad = append(f.bad, name)
	return time.Time{}
}

func (f *fields) err() error {
	if len(f.bad) == 0 {
		return nil
	}
	return badRequest("A parameter can’t be read: " + strings.Join(f.bad, ", ") + ".")
}

// doneMessages are what the parameter done stands for.
var doneMessages = map[string]string{
	"":              "",
	"session-ended": "The session was ended.",
	"session-gone":  "That session was over already.",
	"all-ended":     "All sessions were ended.",
	"others-ended":  "All other sessions were ended.",
	"unlocked":      "The account was unlocked.",
	"rotated":       "A new key signs from now on.",
	"redelivered":   "The event was delivered.",
	"replayed":      "The endpoint goes on from there within a minute or two.",
}

// done says what the request before this one did.
func (v *visit) done() (string, error) {
	if v.r.Method == http.MethodPost {
		return "", nil
	}
	message, known := doneMessages[v.r.URL.Query().Get("done")]
	if !known {
		return "", badRequest("A parameter can’t be read: done.")
	}
	return message, nil
}
