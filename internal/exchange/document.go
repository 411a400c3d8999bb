package exchange

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Document is what tests read of an OpenAPI document.
type Document struct {
	// Paths are the operations by path and method, in lower case.
	Paths      map[string]map[string]Operation
	Components struct {
		Responses map[string]response
		Examples  map[string]example
	}
}

// Operation is one method of one path.
type Operation struct {
	ID        string `json:"operationId"`
	Responses map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Examples map[string]example }
}

type example struct {
	Ref   string `json:"$ref"`
	Value json.RawMessage
}

// ParseDocument reads a document.
func ParseDocument(t *testing.T, data []byte) (d Document) {
	t.Helper()
	var raw struct {
		Paths      map[string]map[string]json.RawMessage
		Components json.RawMessage
	}
	parse(t, data, &raw)
	parse(t, raw.Components, &d.Components)
	d.Paths = map[string]map[string]Operation{}
	for path, members := range raw.Paths {
		d.Paths[path] = map[string]Operation{}
		for name, member := range members {
			if name == "parameters" { // of all operations of the path
				continue
			}
			var op Operation
			parse(t, member, &op)
			d.Paths[path][name] = op
		}
	}
	return d
}

func parse(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// IDs returns the ids of the operations, by their route: "POST /token". An
// operation without an id, or with that of another, is an error.
func (d Document) IDs(t *testing.T) map[string]string {
	t.Helper()
	ids, taken := map[string]string{}, map[string]string{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			route := strings.ToUpper(method) + " " + path
			if other := taken[op.ID]; op.ID == "" || other != "" {
				t.Errorf("%s and %s both are %q", route, other, op.ID)
			}
			taken[op.ID], ids[route] = route, op.ID
		}
	}
	return ids
}

// Check compares the recorded answers of a folder with a document: each has to
// be one that is documented for the operation below mount, with its status, its
// media type and, where it is a failure, its code. A path that is not documented
// has to be an unknown route. It returns how many answers were compared.
func (d Document) Check(t *testing.T, folder, mount string) (compared int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.http"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		asked, answer, _ := strings.Cut(string(text), divider)
		_, request := world(t, asked)
		line, _, _ := strings.Cut(request, "\n")
		method, target, _ := strings.Cut(line, " ")
		target, _, _ = strings.Cut(target, "?")
		path, below := strings.CutPrefix(target, mount+"/")
		if !below || method == "OPTIONS" {
			continue
		}
		compared++
		if err := d.documents(t, method, "/"+path, parseAnswer(t, answer)); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
	return compared
}

// answer is a recorded answer.
type answer struct {
	status, media string
	body          []byte
}

func parseAnswer(t *testing.T, text string) (a answer) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	for i, line := range strings.Split(head, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case i == 0:
			a.status = strings.TrimPrefix(line, "HTTP ")
		case name == "Content-Type":
			a.media, _, _ = strings.Cut(value, ";")
		}
	}
	a.body = []byte(body)
	return a
}

// documents says what the document lacks of an answer.
func (d Document) documents(t *testing.T, method, path string, a answer) error {
	op, ok := d.operation(method, path)
	if !ok {
		if code := codeOf(t, a.body); a.status != "404" || code != "rest_no_route" {
			return fmt.Errorf("%s %s is not documented and answered %s %s", method, path, a.status, code)
		}
		return nil
	}
	r, ok := op.Responses[a.status]
	if r.Ref != "" {
		r, ok = d.Components.Responses[last(r.Ref)]
	}
	if !ok {
		return fmt.Errorf("%s has no answer %s", op.ID, a.status)
	}
	content, ok := r.Content[a.media]
	switch {
	case a.media == "" && len(r.Content) == 0:
		return nil
	case !ok:
		return fmt.Errorf("%s %s has no answer of the type %q", op.ID, a.status, a.media)
	case a.status < "400":
		return nil
	}
	code := codeOf(t, a.body)
	for _, e := range content.Examples {
		if e.Ref != "" {
			e = d.Components.Examples[last(e.Ref)]
		}
		if codeOf(t, e.Value) == code {
			return nil
		}
	}
	return fmt.Errorf("%s %s has no example with the code %s", op.ID, a.status, code)
}

func (d Document) operation(method, path string) (Operation, bool) {
	for pattern, methods := range d.Paths {
		if matches(pattern, path) {
			op, ok := methods[strings.ToLower(method)]
			return op, ok
		}
	}
	return Operation{}, false
}

// matches compares segment by segment; one in braces stands for any.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") })
}

func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// codeOf returns what programs go by: the code of WordPress's envelope, or the
// number of Simple JWT Login's. A refusal that has neither has the code "".
func codeOf(t *testing.T, body []byte) string {
	t.Helper()
	var b struct {
		Code string
		Data struct{ ErrorCode *int }
	}
	parse(t, body, &b)
	if b.Data.ErrorCode != nil {
		return fmt.Sprint(*b.Data.ErrorCode)
	}
	return b.Code
}
