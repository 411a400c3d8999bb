package simplejwtlogin

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// failure is a refusal in the terms of the protocol.
type failure struct {
	// number is the original's. What it has no number for gets that of the
	// HTTP status.
	number int
	// message is for people. "" stands for that of the cause.
	message string
	// status, where it is not the one that goes with the number.
	status int
	// wordPress, if set, is the whole answer: that of WordPress, or in its
	// envelope.
	wordPress *wprest.Error
	// kind tells clients which part of the original refuses.
	kind string
	// cause is for the record, the log and the headers of the answer.
	cause error
}

// Error returns the message, followed by the cause where there is one.
func (f *failure) Error() string {
	text := "simplejwtlogin: " + strconv.Itoa(f.number) + ": " + f.message
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns the cause in the terms of the service: what has none is wrong
// in the request.
func (f *failure) Unwrap() error {
	if f.cause == nil {
		return jwtauth.ErrInvalidInput
	}
	return f.cause
}

// because returns a copy that has a cause, and its message where there was none.
func (f *failure) because(cause error) *failure {
	c := *f
	c.cause = cause
	if c.message == "" {
		c.message = messageOf(cause)
	}
	return &c
}

// messageOf is what an error says to people.
func messageOf(err error) string {
	var e *jwtauth.Error
	if errors.As(err, &e) && jwtauth.Status(err) != http.StatusInternalServerError {
		return e.Message
	}
	return "An internal error occurred."
}

// statusesV4 go with the numbers in V4.
var statusesV4 = map[int]int{
	2: 400, 11: 400, 12: 400, 14: 401,
	23: 422, 24: 404, 26: 403, 27: 401, 28: 403, 31: 403, 33: 403, 35: 422, 36: 422, 37: 422, 38: 409, 39: 403,
	41: 403, 42: 422, 45: 403, 46: 422, 47: 422, 48: 401, 51: 401, 53: 422, 55: 401, 56: 403, 59: 422, 60: 422, 61: 422,
	62: 422, 63: 422, 75: 401, 81: 403, 82: 403, 83: 403, 93: 401, 94: 422, 95: 422, 96: 422, 113: 422, 114: 403,
}

// statusOf is the HTTP status of a failure. In V3 nearly everything is 400; a
// client can tell by 401 that it has to refresh or to log in again.
func (v Version) statusOf(f *failure) int {
	switch {
	case f.wordPress != nil:
		return f.wordPress.Status
	case f.status != 0 && (v == V4 || f.status == f.number):
		return f.status
	case v == V4 && statusesV4[f.number] != 0:
		return statusesV4[f.number]
	case v == V3 && (f.number == 12 || f.number == 14 || f.number == 55):
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// The failures that several endpoints share. Those without a message say what
// the cause says.
var (
	errShape       = &failure{number: 2, message: "This is not a JSON Web Token."}
	errSignature   = &failure{number: 11, message: "The JWT was not issued by this site."}
	errNotYet      = &failure{number: 12, message: "The JWT is not valid yet."}
	errExpired     = &failure{number: 14, message: "The JWT has expired."}
	errNoUser      = &failure{number: 24, message: "There is no such user any more."}
	errRevoked     = &failure{number: 55, message: "The JWT is not valid any more."}
	errMissingJWT  = &failure{number: 53, message: "The parameter jwt is missing.", cause: jwtauth.ErrMissingToken}
	errCredentials = &failure{number: 48}
	errNoPassword  = &failure{number: 47, message: "The password is missing."}
)

// tokenFailure says why a token is refused, as far as clients act on it:
// everything that is not shape, time or revocation is one.
func tokenFailure(err error) *failure {
	switch jwtauth.Reason(err) {
	case jwtauth.ReasonMalformed:
		return errShape.because(err)
	case jwtauth.ReasonExpired:
		return errExpired.because(err)
	case jwtauth.ReasonNotYetValid:
		return errNotYet.because(err)
	case jwtauth.ReasonRevoked:
		return errRevoked.because(err)
	}
	return errSignature.because(err)
}

// translate turns what the service said into the terms of the protocol: by the
// table of the endpoint, else by what holds everywhere. What the original does
// not know keeps its HTTP status, which is its number too.
func (e endpoint) translate(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	code := jwtauth.Code(err)
	if f, ok := e.failures[code]; ok {
		return f.because(err)
	}
	if code == jwtauth.ErrInvalidToken.Code {
		return tokenFailure(err)
	}
	status := jwtauth.Status(err)
	return &failure{number: status, status: status, message: messageOf(err), cause: err}
}

// failureBody is the envelope of every failure, with the members of all
// generations and documents: front ends read one or the other.
type failureBody struct {
	Success bool        `json:"success"`
	Error   string      `json:"error"`
	Data    failureData `json:"data"`
}

type failureData struct {
	Message   string `json:"message"`
	ErrorCode int    `json:"errorCode"`
	Snake     int    `json:"error_code"`
	Type      string `json:"type,omitempty"`
}

func (f *failure) body() failureBody {
	return failureBody{Error: f.message, Data: failureData{Message: f.message, ErrorCode: f.number, Snake: f.number, Type: f.kind}}
}
