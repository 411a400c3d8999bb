package jwtauth

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// Refusals that the core does not know: it takes a token from anywhere.
var (
	errNoHeader  = refusal("jwt_auth_no_auth_header", "There is no Authorization header.", jwtauth.ErrMissingToken)
	errBadHeader = refusal("jwt_auth_bad_auth_header", "The Authorization header must be Bearer, a space and the token.",
		&jwtauth.Error{Code: "bad_authorization_header"})
)

func refusal(code, message string, cause error) *wprest.Error {
	return &wprest.Error{Code: code, Message: message, Status: http.StatusForbidden, Cause: cause}
}

// complaint says what is wrong with a filter, in the envelope of the
// administrator's routes.
type complaint string

func (c complaint) Error() string { return string(c) }

// recorded is the core's error for one of the protocol: what log and record are
// told.
func recorded(err error) error {
	var known *jwtauth.Error
	var own *wprest.Error
	var about complaint
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &about):
		return jwtauth.ErrInvalidInput
	case errors.As(err, &own) && own.Code == "rest_missing_callback_param":
		return jwtauth.ErrMissingFields
	case own != nil:
		return &jwtauth.Error{Code: own.Code, Message: own.Message}
	}
	return err
}

// header returns the token of the Authorization header.
func (c *call) header() (string, error) {
	token, err := bearer(c.r.Header)
	if err != nil && c.api.mode == Pro {
		// The Pro plugin looks for the token alone here.
		if v := c.r.Header.Values("Authorization"); len(v) == 1 && strings.Count(v[0], ".") == 2 && !strings.ContainsAny(v[0], " \t,") {
			return v[0], nil
		}
	}
	return token, err
}

// bearer returns the token of a header of the scheme Bearer, in any case
// (RFC 9110, section 11.1), followed by one space.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", errNoHeader
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", errBadHeader
	}
	return token, nil
}

// failed is what a login that is refused answers with: one code, whatever was
// wrong. Faults, limits and what a hook of the host refuses stay as they are.
func failed(err error) error {
	for _, known := range []*jwtauth.Error{jwtauth.ErrInvalidCredentials, jwtauth.ErrMissingFields, jwtauth.ErrInvalidInput,
		jwtauth.ErrAccountDisabled, jwtauth.ErrEmailNotVerified, jwtauth.ErrTooManySessions} {
		if errors.Is(err, known) {
			return refusal("jwt_auth_failed", message(err), err)
		}
	}
	return err
}

// message is what may be shown of an error.
func message(err error) string {
	var e *jwtauth.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "Something went wrong on our side."
}

// writeError answers with an error, in the envelope and with the statuses of the
// plugins where they have one for it.
func (api *API) writeError(w http.ResponseWriter, err error) {
	var about complaint
	if errors.As(err, &about) {
		wprest.WriteJSON(w, http.StatusBadRequest, adminBody{Message: string(about)})
		return
	}
	var own *wprest.Error
	if !errors.As(err, &own) {
		own = api.translate(err)
	}
	var e *jwtauth.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		after := int64((e.RetryAfter + 999_999_999) / 1_000_000_000)
		own.Data = map[string]any{"retry_after": after}
		w.Header().Set("Retry-After", strconv.FormatInt(after, 10))
	}
	wprest.WriteError(w, own)
}

// translate finds the plugin's error for one of the core.
func (api *API) translate(err error) *wprest.Error {
	switch {
	case errors.Is(err, jwtauth.ErrMissingToken):
		return errNoHeader
	case errors.Is(err, jwtauth.ErrInvalidToken):
		return api.tokenError(err)
	case errors.Is(err, jwtauth.ErrInvalidRefreshToken):
		return refusal("jwt_auth_invalid_refresh_token", message(err), err)
	case jwtauth.Code(err) == "rest_no_route":
		return wprest.NoRoute()
	}
	status := jwtauth.Status(err)
	if status == http.StatusInternalServerError {
		return &wprest.Error{Code: "internal_error", Message: "Something went wrong on our side.", Status: status}
	}
	return &wprest.Error{Code: jwtauth.Code(err), Message: message(err), Status: status}
}

// tokenError tells apart what the plugins do. All of it was found out after the
// signature had been checked, so it tells nothing to whoever makes up tokens.
func (api *API) tokenError(err error) *wprest.Error {
	switch reason := jwtauth.Reason(err); {
	case reason == jwtauth.ReasonExpired:
		return refusal("jwt_auth_invalid_token", "The token has expired.", err)
	case reason == jwtauth.ReasonIssuer:
		return refusal("jwt_auth_bad_iss", "The token was issued by another server.", err)
	case reason == jwtauth.ReasonRevoked && api.mode == Pro:
		return refusal("jwt_auth_revoked_token", "The token has been revoked.", err)
	}
	return refusal("jwt_auth_invalid_token", "The token is not valid.", err)
}
