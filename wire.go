package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jwtauth/jwtauth/internal/strictjson"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// Errors that only the HTTP layer has.
var (
	errNoRoute         = &Error{Code: "rest_no_route", Message: "There is nothing at this address."}
	errMethod          = &Error{Code: "method_not_allowed", Message: "This address does not answer that method."}
	errMediaType       = &Error{Code: "unsupported_media_type", Message: "The body has a media type that is not accepted here, or is compressed."}
	errTooLarge        = &Error{Code: "request_too_large", Message: "The body is too large."}
	errJSON            = &Error{Code: "rest_invalid_json", Message: "The body is not one valid JSON object."}
	errBody            = &Error{Code: "bad_request", Message: "The body could not be read."}
	errInternal        = &Error{Code: codeInternal, Message: "Something went wrong on our side."}
	errAmbiguousHeader = &Error{Code: "bad_authorization_header", Message: "There must be one Authorization header: Bearer, a space and the token."}
)

// statuses is the whole mapping from codes to HTTP statuses. A code that is not
// in it is a mistake of ours: 500.
var statuses = map[string]int{
	ErrInvalidCredentials.Code:  http.StatusUnauthorized,
	ErrMissingToken.Code:        http.StatusUnauthorized,
	ErrInvalidToken.Code:        http.StatusUnauthorized,
	ErrInvalidRefreshToken.Code: http.StatusUnauthorized,
	errAmbiguousHeader.Code:     http.StatusUnauthorized,
	ErrInvalidExchange.Code:     http.StatusUnauthorized,
	ErrAuthCode.Code:            http.StatusUnauthorized,
	errCrossOrigin.Code:         http.StatusForbidden,
	ErrAccountDisabled.Code:     http.StatusForbidden,
	ErrEmailNotVerified.Code:    http.StatusForbidden,
	ErrInvalidCode.Code:         http.StatusBadRequest,
	ErrForbidden.Code:           http.StatusForbidden,
	ErrReauthRequired.Code:      http.StatusForbidden,
	ErrRegistrationClosed.Code:  http.StatusForbidden,
	ErrTooManySessions.Code:     http.StatusForbidden,
	ErrInvalidInput.Code:        http.StatusBadRequest,
	ErrMissingFields.Code:       http.StatusBadRequest,
	ErrWeakPassword.Code:        http.StatusBadRequest,
	errJSON.Code:                http.StatusBadRequest,
	errBody.Code:                http.StatusBadRequest,
	ErrLoginTaken.Code:          http.StatusConflict,
	ErrEmailTaken.Code:          http.StatusConflict,
	ErrIdentityTaken.Code:       http.StatusConflict,
	ErrConflict.Code:            http.StatusConflict,
	ErrNotFound.Code:            http.StatusNotFound,
	errNoRoute.Code:             http.StatusNotFound,
	errMethod.Code:              http.StatusMethodNotAllowed,
	errTooLarge.Code:            http.StatusRequestEntityTooLarge,
	errMediaType.Code:           http.StatusUnsupportedMediaType,
	ErrRateLimited.Code:         http.StatusTooManyRequests,
	ErrOverloaded.Code:          http.StatusServiceUnavailable,
	ErrUnavailable.Code:         http.StatusServiceUnavailable,
	ErrTrailBroken.Code:         http.StatusInternalServerError,
	codeInternal:                http.StatusInternalServerError,
}

// knownCode reports whether a code is one of ours.
func knownCode(code string) bool {
	_, ok := statuses[code]
	return ok
}

// Status returns the HTTP status of any error: 200 for nil, that of its [Code],
// 403 for one made with [Refuse], and 500 for an error that is none of ours.
func Status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if e, ok := asError(err); ok && e.refusal {
		return http.StatusForbidden
	}
	if status, ok := statuses[Code(err)]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// maxBody bounds the body of a request to the native API.
const maxBody = 64 << 10

// bodyTimeout is how long a body may take to arrive. A server's ReadTimeout
// does the same for all of a request; a host may have none.
const bodyTimeout = 15 * time.Second

var bodyLimits = strictjson.Limits{Depth: 8, Members: 64}

// input is the body of a request, read member by member. A member of the wrong
// type is noted and reported by err; names that nobody asks for are ignored.
type input struct {
	members strictjson.Members
	form    url.Values
	bad     []string
}

// readInput reads a JSON body. An empty body is an empty object, whatever its
// media type: there is nothing to mistake in it.
func readInput(w http.ResponseWriter, r *http.Request, form bool) (input, error) {
	data, err := readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return input{}, errTooLarge
	case err != nil:
		return input{}, errBody.because(err)
	case len(data) == 0:
		return input{}, nil
	case form:
		return readForm(r.Header, data)
	case !isMedia(r.Header, "application/json"):
		return input{}, errMediaType
	}
	members, err := strictjson.Parse(data, bodyLimits, nil)
	if err != nil {
		return input{}, errJSON.because(err)
	}
	return input{members: members}, nil
}

// readBody bounds a body in size and time. A connection that can't have a
// deadline, as in tests, is bounded by the size alone. The deadline is lifted
// afterwards: net/http would take it for the client's going away.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		_ = conn.SetReadDeadline(time.Time{})
	}
	return data, err
}

// readForm reads what a page of ours posts. A name given twice is refused.
func readForm(h http.Header, data []byte) (input, error) {
	if !isMedia(h, "application/x-www-form-urlencoded") {
		return input{}, errMediaType
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return input{}, errBody.because(err)
	}
	for name, values := range form {
		if len(values) > 1 {
			return input{}, ErrInvalidInput.saying("A field is given twice.", clip(name, 64))
		}
	}
	return input{form: form}, nil
}

// isMedia accepts exactly one Content-Type, the wanted one, in UTF-8.
func isMedia(h http.Header, want string) bool {
	types := h.Values("Content-Type")
	if len(types) != 1 || h.Get("Content-Encoding") != "" {
		return false
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil || media != want {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// text returns a string member, under the first of its names that is present.
// Two names with different values contradict each other, which is an error.
func (in *input) text(names ...string) string {
	found, from := "", ""
	for _, name := range names {
		s, given, ok := in.get(name)
		if !given {
			continue
		}
		if !ok || from != "" && s != found {
			in.bad = append(in.bad, name)
			continue
		}
		found, from = s, name
	}
	return found
}

// get returns a member as text; ok is false if it is something else.
func (in *input) get(name string) (s string, given, ok bool) {
	if in.form != nil {
		return in.form.Get(name), in.form.Has(name), true
	}
	v := in.members.Get(name)
	s, ok = v.String()
	return s, v.Kind() != strictjson.Missing, ok
}

// flag returns a boolean member as "true" or "false", or text as it is.
func (in *input) flag(name string) string {
	if b, ok := in.members.Get(name).Bool(); ok {
		return strconv.FormatBool(b)
	}
	return in.text(name)
}

// err reports the members that were not what they should be.
func (in *input) err() error {
	if len(in.bad) == 0 {
		return nil
	}
	slices.Sort(in.bad)
	return ErrInvalidInput.saying("A field has the wrong type or contradicts another one.", slices.Compact(in.bad)...)
}

// bearer returns the token of the Authorization header, "" where there is none
// or it is of another scheme. The scheme is case-insensitive and followed by
// exactly one space (RFC 6750, section 2.1; RFC 9110, section 11.1).
func bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errAmbiguousHeader
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if !ok || token == "" || strings.IndexByte(token, ' ') >= 0 || strings.IndexByte(token, '\t') >= 0 || strings.IndexByte(token, ',') >= 0 {
		return "", errAmbiguousHeader
	}
	return token, nil
}

// writeJSON answers with status 200.
func writeJSON(w http.ResponseWriter, body any) { writeStatus(w, http.StatusOK, body) }

func writeStatus(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // our own types always marshal
		data, status = []byte(`{"code":"internal_error","message":"","data":{"status":500}}`), http.StatusInternalServerError
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that is gone needs no answer
}

// errorBody is the envelope of every error.
type errorBody struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Data    errorData `json:"data"`
}

type errorData struct {
	Status     int      `json:"status"`
	Params     []string `json:"params,omitempty"`
	RetryAfter int64    `json:"retry_after,omitempty"`
}

// writeError answers with an error. Only what [Error] declares public leaves.
func writeError(w http.ResponseWriter, err error) {
	e, ok := asError(err)
	if !ok || Status(e) == http.StatusInternalServerError {
		e = errInternal
	}
	status := Status(e)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge(e))
	}
	body := errorBody{e.Code, e.Message, errorData{Status: status, Params: e.Fields}}
	if e.RetryAfter > 0 {
		body.Data.RetryAfter = seconds(e.RetryAfter)
		w.Header().Set("Retry-After", strconv.FormatInt(body.Data.RetryAfter, 10))
	}
	writeStatus(w, status, body)
}

// challenge follows RFC 6750, section 3: the error is named only where a token
// was presented.
func challenge(e *Error) string {
	switch e.Code {
	case ErrInvalidToken.Code, ErrInvalidRefreshToken.Code:
		return `Bearer error="invalid_token"`
	case errAmbiguousHeader.Code:
		return `Bearer error="invalid_request"`
	}
	return "Bearer"
}

// writeUsage sets the headers of a limited route.
func writeUsage(h http.Header, u Usage) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(u.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(u.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(u.Reset.Unix(), 10))
}

// seconds rounds up: who waits that long is not refused again.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// The JSON of the native API. Names and types are those of HeadlessKey.
type (
	userBody struct {
		ID          wprest.ID `json:"ID"`
		Login       string    `json:"user_login"`
		Email       string    `json:"user_email"`
		DisplayName string    `json:"display_name"`
		Roles       []string  `json:"roles"`
	}
	grantBody struct {
		Token        string          `json:"token"`
		TokenType    string          `json:"token_type"`
		ExpiresIn    int64           `json:"expires_in"`
		Expiration   string          `json:"expiration"`
		RefreshToken string          `json:"refresh_token,omitempty"`
		DeviceToken  string          `json:"device_token,omitempty"`
		Refreshable  bool            `json:"refreshable"`
		TokenID      string          `json:"jti"`
		User         json.RawMessage `json:"user"`
	}
	registerBody struct {
		UserID        wprest.ID       `json:"user_id"`
		User          json.RawMessage `json:"user"`
		TokenResponse json.RawMessage `json:"token_response,omitempty"`
	}
	validBody struct {
		Valid     bool      `json:"valid"`
		ExpiresAt int64     `json:"expires_at"`
		Data      validData `json:"data"`
	}
	// validData says who it is in each of the three places where clients look.
	validData struct {
		Issuer    string       `json:"iss"`
		IssuedAt  int64        `json:"iat"`
		ExpiresAt int64        `json:"exp"`
		Data      validSubject `json:"data"`
		validSubject
		User validUser `json:"user"`
	}
	validUser struct {
		ID wprest.ID `json:"id"`
	}
	validSubject struct {
		ID    wprest.ID `json:"ID"`
		Login string    `json:"user_login"`
	}
	sessionBody struct {
		ID         string `json:"id"`
		Device     string `json:"device"`
		UserAgent  string `json:"user_agent"`
		Address    string `json:"ip"`
		CreatedAt  string `json:"created_at"`
		LastUsedAt string `json:"last_used_at"`
		ExpiresAt  string `json:"expires_at"`
		Current    bool   `json:"current"`
	}
	sessionsBody struct {
		Sessions []sessionBody `json:"sessions"`
	}
	messageBody struct {
		Message string `json:"message"`
	}
	endedBody struct {
		Message string `json:"message"`
		Ended   int    `json:"ended"`
	}
)

func (a *Auth) viewUser(ctx context.Context, u User) (json.RawMessage, error) {
	roles := u.Roles
	if roles == nil {
		roles = []string{}
	}
	var filter func(context.Context) map[string]any
	if hook := a.cfg.Hooks.UserView; hook != nil {
		filter = func(ctx context.Context) map[string]any { return hook(ctx, forHooks(u)) }
	}
	return a.extend(ctx, userBody{wprest.ID(u.ID), u.Login, u.Email, u.DisplayName, roles}, filter)
}

func (a *Auth) viewGrant(ctx context.Context, g *Grant) (json.RawMessage, error) {
	user, err := a.viewUser(ctx, g.User)
	if err != nil {
		return nil, err
	}
	var filter func(context.Context) map[string]any
	if hook := a.cfg.Hooks.LoginResponse; hook != nil {
		shown := *g
		shown.User = forHooks(g.User)
		filter = func(ctx context.Context) map[string]any { return hook(ctx, shown) }
	}
	return a.extend(ctx, grantBody{
		Token: g.AccessToken, TokenType: g.TokenType,
		ExpiresIn:  max(0, seconds(g.ExpiresAt.Sub(a.now().Truncate(time.Second)))),
		Expiration: isoTime(g.ExpiresAt), RefreshToken: g.RefreshToken, DeviceToken: string(g.DeviceToken),
		Refreshable: !a.cfg.Sessions.RefreshTokensOnly || g.RefreshToken != "",
		TokenID:     g.TokenID, User: user,
	}, filter)
}

func viewValid(id *Identity, u User) validBody {
	who, end := validSubject{wprest.ID(u.ID), u.Login}, id.Claims.ExpiresAt.Unix()
	return validBody{true, end, validData{id.Claims.Issuer, id.Claims.IssuedAt.Unix(), end, who, who, validUser{wprest.ID(u.ID)}}}
}

func viewSession(s Session, current string) sessionBody {
	return sessionBody{
		ID: s.ID, Device: deviceName(s.UserAgent), UserAgent: s.UserAgent, Address: s.Address,
		CreatedAt: isoTime(s.Created), LastUsedAt: isoTime(s.Moved), ExpiresAt: isoTime(s.Expires),
		Current: s.ID == current,
	}
}

// isoTime writes a time as the seed documents show it: UTC as +00:00.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + "+00:00" }
