// Package apitest compares what the HTTP tests of the library ask, and what they
// are answered, with the OpenAPI documents. It is a module of its own, so that it
// may use a library for that.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	problem "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi/datamodel"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

// API is one that has a document.
type API struct {
	// Document is the OpenAPI document.
	Document []byte
	// Locate says what a request is for: its address as the document has it, or
	// false if it is for something else.
	Locate func(*url.URL) (*url.URL, bool)
	// More are the tests that send what has no effect, MoreAnswered those that are
	// answered more than the document has, since it lets hooks add something. In
	// these what the document does not mention is no mistake. Both may name
	// operations as well.
	More, MoreAnswered []string
	// OwnCodes are the tests whose hooks refuse with codes of their own. Such an
	// answer is checked as if it had the code AsCode.
	OwnCodes []string
	AsCode   string
}

// All stands for every test and operation.
const All = "*"

// Below returns a Locate for an API that is mounted below one of the prefixes.
func Below(prefixes ...string) func(*url.URL) (*url.URL, bool) {
	return func(u *url.URL) (*url.URL, bool) {
		for _, prefix := range prefixes {
			if path, ok := strings.CutPrefix(u.Path, prefix); ok && strings.HasPrefix(path, "/") {
				return &url.URL{Path: path, RawQuery: u.RawQuery}, true
			}
		}
		return nil, false
	}
}

// WordPress returns a Locate for an API that is a namespace of WordPress, below
// /wp-json or as the parameter rest_route. A slash at the end makes no difference.
func WordPress(namespace string) func(*url.URL) (*url.URL, bool) {
	below := Below("/" + namespace)
	return func(u *url.URL) (*url.URL, bool) {
		query := u.Query()
		route, ok := strings.CutPrefix(u.Path, "/wp-json")
		if named := query.Get("rest_route"); named != "" {
			query.Del("rest_route")
			route, ok = named, true
		}
		if !ok {
			return nil, false
		}
		return below(&url.URL{Path: strings.TrimSuffix(route, "/"), RawQuery: query.Encode()})
	}
}

// Document checks exchanges.
type Document struct {
	api          API
	model        *v3.Document
	strict, open validator.Validator
	answers      map[string]int
	requests     map[string]int
}

// everywhere are headers of answers that documents tell of in prose.
var everywhere = []string{"X-Content-Type-Options", "X-Robots-Tag", "Link", "Set-Cookie", "Referrer-Policy", "Jwtauth-Reason",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Allow-Credentials"}

// browsers are headers that they send by themselves.
var browsers = []string{"Sec-Fetch-Site"}

// Open reads a document. It must be valid by itself.
func Open(api API) (*Document, error) {
	doc, err := libopenapi.NewDocumentWithConfiguration(api.Document, &datamodel.DocumentConfiguration{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	// Cookies belong to schemes of security, which strict mode does not look into.
	rules := []config.Option{config.WithFormatAssertions(), config.WithURLEncodedBodyValidation()}
	open := validator.NewValidatorFromV3Model(&model.Model, rules...)
	strict, errs := validator.NewValidator(doc, append(rules, config.WithStrictMode(), config.WithStrictIgnorePaths("$.cookies.*"),
		config.WithStrictIgnoredHeadersExtra(append(everywhere, browsers...)...))...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if ok, problems := strict.ValidateDocument(); !ok {
		return nil, asError(problems)
	}
	return &Document{api: api, model: &model.Model, strict: strict, open: open, answers: map[string]int{}, requests: map[string]int{}}, nil
}

// Checked returns how many answers of each operation were checked, and how many
// requests.
func (d *Document) Checked() (answers, requests map[string]int) {
	answers, requests = map[string]int{}, map[string]int{}
	for _, item := range d.model.Paths.PathItems.FromOldest() {
		for _, op := range item.GetOperations().FromOldest() {
			answers[op.OperationId], requests[op.OperationId] = d.answers[op.OperationId], d.requests[op.OperationId]
		}
	}
	return answers, requests
}

// Check compares an exchange with the document: the answer always, the request
// where it was not refused. One that is for something else is no error.
func (d *Document) Check(e recorder.Exchange) error {
	target, err := url.ParseRequestURI(e.Target)
	if err != nil {
		return nil // no route has such an address
	}
	at, ok := d.api.Locate(target)
	if !ok || e.Method == http.MethodOptions { // which browsers send by themselves
		return nil
	}
	item, ok := d.find(at.Path)
	if !ok {
		return nil
	}
	method := e.Method
	if method == http.MethodHead && e.Status != http.StatusMethodNotAllowed {
		method = http.MethodGet
	}
	op, ok := item.GetOperations().Get(strings.ToLower(method))
	if !ok {
		return noOperation(e)
	}
	if err := d.checkOperation(op, method, at, e); err != nil {
		return fmt.Errorf("%s: %w", op.OperationId, err)
	}
	return nil
}

// noOperation checks what is said of a method that the document does not have.
func noOperation(e recorder.Exchange) error {
	if e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed {
		return errors.New("the document does not have this operation")
	}
	return nil
}

func (d *Document) checkOperation(op *v3.Operation, method string, at *url.URL, e recorder.Exchange) error {
	d.answers[op.OperationId]++
	if _, ok := op.Responses.Codes.Get(strconv.Itoa(e.Status)); !ok {
		return fmt.Errorf("the status %d is not documented", e.Status)
	}
	if e.Method != http.MethodHead { // whose answer has no body
		if ok, problems := d.unless(d.api.MoreAnswered, op, e).ValidateHttpResponse(request(method, at, e), d.answer(e)); !ok {
			return fmt.Errorf("the answer: %w", asError(problems))
		}
	}
	if e.Status >= 400 {
		return nil
	}
	d.requests[op.OperationId]++
	if ok, problems := d.unless(d.api.More, op, e).ValidateHttpRequestSync(request(method, at, e)); !ok {
		return fmt.Errorf("the request: %w", asError(problems))
	}
	return nil
}

// unless is strict, but for some tests with their subtests, and operations.
func (d *Document) unless(names []string, op *v3.Operation, e recorder.Exchange) validator.Validator {
	if among(names, e) || slices.Contains(names, op.OperationId) {
		return d.open
	}
	return d.strict
}

func among(tests []string, e recorder.Exchange) bool {
	test, _, _ := strings.Cut(e.Test, "/")
	return slices.Contains(tests, test) || slices.Contains(tests, All)
}

// find returns the entry of a path. One without parameters goes first.
func (d *Document) find(path string) (*v3.PathItem, bool) {
	if item, ok := d.model.Paths.PathItems.Get(path); ok {
		return item, true
	}
	for template, item := range d.model.Paths.PathItems.FromOldest() {
		if matches(template, path) {
			return item, true
		}
	}
	return nil, false
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, part := range want {
		if part != got[i] && (!strings.HasPrefix(part, "{") || got[i] == "") {
			return false
		}
	}
	return true
}

func request(method string, at *url.URL, e recorder.Exchange) *http.Request {
	r := &http.Request{Method: method, URL: at, Header: e.Header.Clone(), Host: "api.example.test", Body: http.NoBody}
	if body := encoded(e); len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return r
}

// encoded is the body of a request, a form with every reserved character escaped:
// what a server takes without that is not for the document to say.
func encoded(e recorder.Exchange) []byte {
	if e.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return e.Body
	}
	form, err := url.ParseQuery(string(e.Body))
	if err != nil {
		return e.Body
	}
	return []byte(form.Encode())
}

func (d *Document) answer(e recorder.Exchange) *http.Response {
	body := e.Answer
	if e.Status == http.StatusForbidden && among(d.api.OwnCodes, e) {
		body = withCode(body, d.api.AsCode)
	}
	return &http.Response{StatusCode: e.Status, Header: e.AnswerHeader.Clone(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

// withCode changes the member code of an answer; one that has none stays.
func withCode(body []byte, code string) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil || members["code"] == nil {
		return body
	}
	members["code"] = code
	changed, err := json.Marshal(members)
	if err != nil {
		return body
	}
	return changed
}

// asError says what is wrong, and where.
func asError(problems []*problem.ValidationError) error {
	var errs []error
	for _, p := range problems {
		text := p.Message + ": " + p.Reason
		for _, s := range p.SchemaValidationErrors {
			text += "\n\t" + s.FieldPath + " " + s.Reason
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}
