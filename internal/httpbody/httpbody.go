// Package httpbody reads the body of a request within bounds.
package httpbody

import (
	"io"
	"net/http"
	"time"
)

// Max bounds the size of a body.
const Max = 64 << 10

// timeout is how long a body may take to arrive. A server's ReadTimeout does
// the same for all of a request; a host may have none.
const timeout = 15 * time.Second

// Read bounds a body in size and time. A connection that can't have a deadline,
// as in tests, is bounded by the size alone. The deadline is lifted afterwards:
// net/http would take it for the client's going away.
//
// A body that is too large is an [*http.MaxBytesError].
func Read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(timeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, Max))
	if err == nil {
		_ = conn.SetReadDeadline(time.Time{})
	}
	return data, err
}
