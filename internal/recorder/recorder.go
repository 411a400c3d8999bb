// Package recorder writes down what tests ask of a handler and what it answers, so
// that all of it can be compared with an OpenAPI document elsewhere: by
// internal/apitest, in a module that may have dependencies.
package recorder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// Dir is the environment variable that names the folder to write to. Without it
// nothing is recorded.
const Dir = "JWTAUTH_TEST_EXCHANGES"

// Exchange is a request and its answer.
type Exchange struct {
	// Test is where it comes from.
	Test string
	// Method and Target are the first line of the request.
	Method, Target string
	// Header and Body are those of the request, the body as far as it was read.
	Header http.Header
	Body   []byte

	Status       int
	AnswerHeader http.Header
	Answer       []byte
}

// Record returns a handler that is h and writes down each exchange; h itself
// where nothing is recorded. test says where they come from.
func Record(test string, h http.Handler) http.Handler {
	dir := os.Getenv(Dir)
	if dir == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := Exchange{Test: test, Method: r.Method, Target: r.URL.RequestURI(), Header: r.Header.Clone()}
		var body bytes.Buffer
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = copied{io.TeeReader(r.Body, &body), r.Body}
		}
		answer := &answerWriter{ResponseWriter: w}
		h.ServeHTTP(answer, r)
		if answer.header == nil {
			answer.WriteHeader(http.StatusOK) // as net/http does
		}
		e.Body, e.Status, e.AnswerHeader, e.Answer = body.Bytes(), answer.status, answer.header, answer.body.Bytes()
		if err := e.write(dir); err != nil {
			panic(err) // what is not recorded would pass for correct
		}
	})
}

// copied is a body that is copied as it is read.
type copied struct {
	io.Reader
	io.Closer
}

// answerWriter copies what is written.
type answerWriter struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *answerWriter) WriteHeader(status int) {
	if w.header == nil {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	if w.header == nil {
		w.WriteHeader(http.StatusOK)
	}
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] find the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// write adds a line to the file of this process.
func (e Exchange) write(dir string) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%d.jsonl", os.Getpid())), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
