package wprest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// MaxBody bounds the body of a request.
	MaxBody = 64 << 10
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = 15 * time.Second
	// maxFields bounds the fields of a form.
	maxFields = 128
)

// Members are the members of a JSON object. Text returns one as a string: given
// says whether there is one of that name, ok whether it is a string.
type Members interface {
	Text(name string) (text string, given, ok bool)
}

// Params are the parameters of a request in the order in which WordPress looks
// for them: the JSON body, the form in the body, the query.
type Params struct {
	json        Members
	form, query url.Values
}

// Read reads the parameters of a request. The media type decides what the body
// is: JSON, which parse reads, a form of either kind, or nothing that has
// parameters. An empty body has none, whatever it calls itself.
func Read(w http.ResponseWriter, r *http.Request, parse func([]byte) (Members, error)) (Params, *Error) {
	p := Params{query: Query(r.URL.RawQuery)}
	data, e := ReadBody(w, r)
	if e != nil || len(data) == 0 {
		return p, e
	}
	media, params := MediaType(r.Header)
	switch {
	case media == "application/json":
		members, err := parse(data)
		if err != nil {
			return p, InvalidJSON()
		}
		p.json = members
	case media != "":
		form, err := ParseForm(media, params, data)
		if err != nil {
			return p, BadBody()
		}
		p.form = form
	}
	return p, nil
}

// ReadBody bounds a body in size and time. A connection that can't have a
// deadline, as in tests, is bounded by the size alone. The deadline is lifted
// afterwards: net/http would take it for the client's going away.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, *Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, TooLarge()
	case err != nil:
		return nil, BadBody()
	}
	_ = conn.SetReadDeadline(time.Time{})
	return data, nil
}

// MediaType returns the media type of a body that can be read here: exactly one
// Content-Type, UTF-8, not compressed. "" stands for any other.
func MediaType(h http.Header) (media string, params map[string]string) {
	types := h.Values("Content-Type")
	if len(types) != 1 || h.Get("Content-Encoding") != "" {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(types[0])
	charset, given := params["charset"]
	if err != nil || given && !strings.EqualFold(charset, "utf-8") {
		return "", nil
	}
	return media, params
}

var errForm = errors.New("not a form that can be read")

// ParseForm reads a form of either kind. Files in it are left out. Another media
// type has no fields.
func ParseForm(media string, params map[string]string, data []byte) (url.Values, error) {
	switch media {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(data))
		if err == nil && fields(form) > maxFields {
			err = errForm
		}
		return form, err
	case "multipart/form-data":
		return parseMultipart(params["boundary"], data)
	}
	return nil, nil
}

func parseMultipart(boundary string, data []byte) (url.Values, error) {
	if boundary == "" {
		return nil, errForm
	}
	form := url.Values{}
	reader := multipart.NewReader(bytes.NewReader(data), boundary)
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil || n == maxFields {
			return nil, errForm
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, errForm
		}
		form.Add(part.FormName(), string(value))
	}
}

func fields(form url.Values) (n int) {
	for _, values := range form {
		n += len(values)
	}
	return n
}

// Query reads a query as far as it can be read, as PHP does.
func Query(raw string) url.Values {
	q, _ := url.ParseQuery(raw)
	return q
}

// Text returns a parameter. It is an error if it is no text, or if it was given
// more than once with different values: whoever stands in front may have judged
// the other one.
func (p Params) Text(name string) (text string, given bool, e *Error) {
	var all []string
	if p.json != nil {
		s, given, ok := p.json.Text(name)
		if given && !ok {
			return "", true, InvalidParams("It must be a string.", name)
		}
		if given {
			all = append(all, s)
		}
	}
	all = append(append(all, p.form[name]...), p.query[name]...)
	if len(all) == 0 {
		return "", false, nil
	}
	if slices.ContainsFunc(all, func(s string) bool { return s != all[0] }) {
		return "", true, InvalidParams("It is given more than once.", name)
	}
	return all[0], true, nil
}

// Required returns parameters that all have to be given, though they may be
// empty.
func (p Params) Required(names ...string) ([]string, *Error) {
	values, missing := make([]string, len(names)), []string(nil)
	for i, name := range names {
		text, given, e := p.Text(name)
		if e != nil {
			return nil, e
		}
		if !given {
			missing = append(missing, name)
		}
		values[i] = text
	}
	if missing != nil {
		return nil, MissingParams(missing...)
	}
	return values, nil
}
