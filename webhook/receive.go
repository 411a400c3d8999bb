package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// maxBody is far above what an event can take.
const maxBody = 64 << 10

// Message is the body of a request.
type Message struct {
	// Type is the name of the event.
	Type string `json:"type"`
	// Timestamp is when it happened.
	Timestamp time.Time `json:"timestamp"`
	// Data is the event.
	Data jwtauth.Event `json:"data"`
}

func newMessage(e jwtauth.Event) Message {
	return Message{Type: e.Name, Timestamp: e.Time.UTC(), Data: e}
}

// Receiver is a handler that hands on what it has verified. Secrets and Handle
// are required.
//
// It answers 204 when Handle returned nil, and 503 when it returned an error: the
// sender comes again then. 401 is a request that [Verify] refuses, 413 one of
// more than 64 KiB, 405 one that is no POST, 400 one that is signed and yet no
// event, and 500 means that the Receiver has no fit Secrets or no Handle.
type Receiver struct {
	// Secrets are those that the sender may sign with.
	Secrets []jwtauth.Secret
	// Handle does what the event is about, before it returns: what it has
	// returned nil for does not come again. id is the webhook-id; the same
	// event may come twice with the same id, also at the same time.
	Handle func(ctx context.Context, id string, m Message) error
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// ServeHTTP implements http.Handler.
func (rc Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := rc.serve(w, r)
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.WriteHeader(status)
}

func (rc Receiver) serve(w http.ResponseWriter, r *http.Request) (status int) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return http.StatusBadRequest
	}
	now := time.Now
	if rc.Now != nil {
		now = rc.Now
	}
	id, err := Verify(r.Header, body, now(), rc.Secrets...)
	switch {
	case errors.Is(err, ErrSecret) || rc.Handle == nil:
		return http.StatusInternalServerError
	case err != nil:
		return http.StatusUnauthorized
	}
	var m Message
	if json.Unmarshal(body, &m) != nil {
		return http.StatusBadRequest
	}
	if rc.Handle(r.Context(), id, m) != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusNoContent
}

// Check reports whether the receiver is fit for use, for the start of a
// program.
func (rc Receiver) Check() error {
	_, err := decodeSecrets(rc.Secrets)
	if err != nil || len(rc.Secrets) == 0 {
		return fmt.Errorf("webhook: Receiver.Secrets: %w", ErrSecret)
	}
	if rc.Handle == nil {
		return errors.New("webhook: Receiver.Handle is required")
	}
	return nil
}
