package jwtauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// DevelopmentConfig is for the time in which a front end is being built. Both are
// off in production: [Auth.Check] says where they are not.
type DevelopmentConfig struct {
	// Enabled writes why a request was refused, and what to look at, to the log at
	// level warn. Otherwise the reason is there at level debug, without advice.
	Enabled bool
	// InsecureExplain tells the caller as well, in the header [ReasonHeaderName] of
	// the refusal: why a token is not accepted, that an account is locked, what a
	// store or hook said.
	// [New] refuses it where the Issuer is not on a loopback host.
	InsecureExplain bool
}

// ReasonHeaderName is the header of a refusal that explains it, where
// [DevelopmentConfig].InsecureExplain asks for that.
const ReasonHeaderName = "Jwtauth-Reason"

func (cfg Config) validateDevelopment() error {
	if cfg.Development.InsecureExplain && !loopback(hostOf(cfg.Issuer)) {
		return errors.New("jwtauth: Config.Development.InsecureExplain needs an Issuer on a loopback host, such as http://localhost:8080")
	}
	return nil
}

// Explain writes to the log why a request is about to be refused with err, and in
// development to the header of the answer too: see [DevelopmentConfig]. The
// endpoints and the middleware of this package do that by themselves; it is for
// handlers of a host that answer with an error of this package. Call it before the
// answer is written.
func (a *Auth) Explain(w http.ResponseWriter, r *http.Request, err error) {
	a.explain(w.Header(), r, r.Pattern, err)
}

// explain is Explain, by the name of a route. Where the header of the answer is not
// known it is nil.
func (a *Auth) explain(h http.Header, r *http.Request, route string, err error) {
	level, text := slog.LevelDebug, "request refused"
	switch {
	case Status(err) >= 500:
		level, text = slog.LevelError, "request failed"
	case a.cfg.Development.Enabled:
		level = slog.LevelWarn
	}
	if a.log.Enabled(r.Context(), level) {
		a.log.Log(r.Context(), level, text, a.failureAttrs(r, route, err)...)
	}
	if a.cfg.Development.InsecureExplain && h != nil {
		h.Set(ReasonHeaderName, headerText(explanation(err)))
	}
}

func (a *Auth) failureAttrs(r *http.Request, route string, err error) []any {
	attrs := []any{"route", route, "code", Code(err), "request", ClientFrom(r.Context()).RequestID, "error", err}
	if hint := advice(err); hint != "" && a.cfg.Development.Enabled {
		attrs = append(attrs, "hint", hint)
	}
	return attrs
}

// explanation is the reason of a refusal and what to look at.
func explanation(err error) string {
	why := strings.TrimPrefix(err.Error(), "jwtauth: ")
	if hint := advice(err); hint != "" {
		why += " - " + hint
	}
	return why
}

// headerText keeps what may stand in a header (RFC 9110, section 5.5).
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}

// advice says what a developer should look at; "" where the error says it all.
func advice(err error) string {
	if hint := reasonAdvice[Reason(err)]; hint != "" {
		return hint
	}
	return codeAdvice[Code(err)]
}

var reasonAdvice = map[string]string{
	ReasonMalformed:   "is the text whole and unchanged, in the form in which it was issued?",
	ReasonHeader:      "it was not issued by this library: its header must be exactly alg, kid and typ",
	ReasonKey:         "the key was retired, belongs to another service, or is new in each start: keep it with OpenKeys",
	ReasonAlgorithm:   "the header names another algorithm than that of the key",
	ReasonType:        "an access token is expected: not a refresh, SSO or auto-login token",
	ReasonSignature:   "was it signed with another key or secret of the same id, or was it changed?",
	ReasonClaims:      "iss, sub, aud, iat, exp and jti are required",
	ReasonIssuer:      "iss must equal Config.Issuer, character by character",
	ReasonAudience:    "aud must have one of Config.Audience (default: the Issuer)",
	ReasonExpired:     "refresh before exp, or once after a 401; Config.Tokens.TTL is how long it lives",
	ReasonNotYetValid: "the clock of the issuer is ahead by more than the leeway",
	ReasonLifetime:    "it lives longer than Config.Tokens.MaxTTL, or VerifierConfig.MaxLifetime, allows",
	ReasonRevoked:     "somebody logged out, changed the password or the roles, or refreshed and went on with the token before",
	ReasonLocked:      "too many wrong passwords: Auth.Unlock ends it, and Config.Lockout changes the rules",
	ReasonDomain:      "Config.Registration.EmailDomains lists the domains that may register",
}

var codeAdvice = map[string]string{
	ErrMissingToken.Code:        "send the header Authorization: Bearer and the token; with cookies, fetch needs credentials: 'include'",
	errAmbiguousHeader.Code:     "send one Authorization header: Bearer, one space, the token",
	errCrossOrigin.Code:         "list the origin of the page in Config.CORS.Origins",
	errMediaType.Code:           "send the header Content-Type: application/json",
	errMethod.Code:              "the header Allow names the methods of this path",
	errNoRoute.Code:             "is the prefix stripped with http.StripPrefix, and is the path spelled exactly so?",
	ErrForbidden.Code:           "the roles of the token are those of its login or refresh",
	ErrRateLimited.Code:         "the header Retry-After says how long to wait; Config.Limits changes the rule",
	ErrInvalidRefreshToken.Code: "each refresh token works once: keep the one of the last answer, and refresh in one place at a time",
	ErrRegistrationClosed.Code:  "Config.Registration.Closed is set",
	ErrInvalidCredentials.Code:  "is there such a user in this store, and is that the password?",
	ErrAuthCode.Code:            "Config.Access asks for one of its codes here, as AUTH_CODE",
	ErrInvalidExchange.Code:     "is the site listed in Config.SSO, with this key, secret, issuer and audience?",
	ErrEmailNotVerified.Code:    "Config.Verification.Required asks for a confirmed address",
	ErrUnavailable.Code:         "a store or a hook did not answer: Auth.Outages names it",
	ErrOverloaded.Code:          "Config.Passwords.MaxConcurrent bounds how many hashes are computed at once",
	ErrReauthRequired.Code:      "send the current password too",
	ErrInvalidCode.Code:         "links and codes work once, for a while, and only the last one sent",
}

// answerKey finds the header of the answer to a request.
type answerKey struct{}

func headerOf(ctx context.Context) http.Header {
	h, _ := ctx.Value(answerKey{}).(http.Header)
	return h
}
