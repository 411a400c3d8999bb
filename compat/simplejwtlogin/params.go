package simplejwtlogin

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jwtauth/jwtauth/internal/strictjson"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// params are the parameters of a request, wherever they come from: one flat map,
// in which the body goes before the query.
type params map[string]param

// param is one parameter: a text, or members of its own.
type param struct {
	text    string
	members map[string]string
}

// Bounds on what one request can make us read.
const maxParams = 256

var jsonLimits = strictjson.Limits{Depth: 8, Members: 64}

// What a request can be wrong in as a whole.
var (
	errBody  = &failure{number: http.StatusBadRequest, status: http.StatusBadRequest, message: "The body could not be read."}
	errTwice = &failure{number: http.StatusBadRequest, status: http.StatusBadRequest, message: "A parameter is given twice, with different values."}
	errMany  = &failure{number: http.StatusBadRequest, status: http.StatusBadRequest, message: "There are too many parameters."}
	errJSON  = &failure{wordPress: wprest.InvalidJSON()}
)

// readParams reads query and body. The body is taken for what it is and not for
// what its type says, as public clients rely on: multipart where there is a
// boundary, also on GET and DELETE; JSON where it begins like an object; and
// urlencoded otherwise.
func readParams(w http.ResponseWriter, r *http.Request) (params, error) {
	all := params{}
	if err := all.addForm(r.URL.RawQuery); err != nil {
		return nil, err
	}
	data, e := wprest.ReadBody(w, r)
	if e != nil {
		return all, &failure{number: e.Status, status: e.Status, message: e.Message}
	}
	body, err := parseBody(boundary(r.Header), data)
	maps.Copy(all, body)
	return all, err
}

func parseBody(boundary string, data []byte) (params, error) {
	body := params{}
	var err error
	switch trimmed := bytes.TrimLeft(data, " \t\r\n"); {
	case boundary != "":
		err = body.addMultipart(boundary, data)
	case len(trimmed) > 0 && trimmed[0] == '{':
		err = body.addJSON(data)
	default:
		err = body.addForm(string(data))
	}
	return body, err
}

// boundary returns that of a multipart form, "" for any other type.
func boundary(h http.Header) string {
	media, values, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return ""
	}
	return values["boundary"]
}

// addForm reads name=value pairs. Unlike package net/url it takes semicolons and
// percent signs that escape nothing for themselves: passwords have them.
func (p params) addForm(text string) error {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if err := p.set(unescape(name), unescape(value)); err != nil {
			return err
		}
	}
	return nil
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// addMultipart reads the fields of a form; files are left out.
func (p params) addMultipart(boundary string, data []byte) error {
	form := multipart.NewReader(bytes.NewReader(data), boundary)
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errBody
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return errBody
		}
		if err := p.set(part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

// set stores a field of a form. A name with brackets, as in user_meta[phone],
// is a member of another. The same name twice is refused unless it says the
// same: two readers would disagree about which one counts.
func (p params) set(name, value string) error {
	outer, inner, nested := strings.Cut(name, "[")
	if !nested {
		old, twice := p[name]
		if twice && (old.members != nil || old.text != value) {
			return errTwice
		}
		return p.put(name, param{text: value})
	}
	inner, closed := strings.CutSuffix(inner, "]")
	if !closed || outer == "" || inner == "" || strings.ContainsAny(inner, "[]") {
		return nil // a form of nesting that no parameter has
	}
	old, exists := p[outer]
	if exists && (old.members == nil || old.members[inner] != "" && old.members[inner] != value) {
		return errTwice
	}
	if !exists {
		old.members = map[string]string{}
	}
	old.members[inner] = value
	if len(old.members) > maxParams {
		return errMany
	}
	return p.put(outer, old)
}

func (p params) put(name string, value param) error {
	p[name] = value
	if len(p) > maxParams {
		return errMany
	}
	return nil
}

// addJSON reads an object. Numbers and booleans are texts as well, null is
// nothing, and an array is no parameter.
func (p params) addJSON(data []byte) error {
	members, err := strictjson.Parse(data, jsonLimits, nil)
	if err != nil {
		return errJSON
	}
	for _, m := range members {
		switch m.Value.Kind() {
		case strictjson.Null, strictjson.Array:
		case strictjson.Object:
			inner, err := jsonMembers(m.Value.Raw())
			if err != nil {
				return errJSON
			}
			p[m.Name()] = param{members: inner}
		default:
			p[m.Name()] = param{text: jsonText(m.Value)}
		}
	}
	return nil
}

// jsonMembers reads an object one level deep: what lies deeper stays JSON.
func jsonMembers(data []byte) (map[string]string, error) {
	members, err := strictjson.Parse(data, jsonLimits, nil)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(members))
	for _, m := range members {
		if m.Value.Kind() != strictjson.Null {
			out[m.Name()] = jsonText(m.Value)
		}
	}
	return out, nil
}

func jsonText(v strictjson.Value) string {
	if s, ok := v.String(); ok {
		return s
	}
	return string(v.Raw())
}

// text returns a parameter, "" if there is none or it has members.
func (p params) text(name string) string { return p[name].text }

// object returns the members of a parameter that may also be sent as a text of
// JSON. Nil if there is none, or the text is none.
func (p params) object(name string) map[string]string {
	if members := p[name].members; members != nil {
		return members
	}
	members, err := jsonMembers([]byte(p[name].text))
	if err != nil {
		return nil
	}
	return members
}

// fold returns a parameter whose name is compared without regard to case.
// Several with different values are an error.
func (p params) fold(name string) (string, error) {
	found := ""
	for n, v := range p {
		if !strings.EqualFold(n, name) || v.text == "" {
			continue
		}
		if found != "" && found != v.text {
			return "", errTwice
		}
		found = v.text
	}
	return found, nil
}
