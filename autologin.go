package jwtauth

import (
	"context"
	"errors"
	"time"
)

// AutoLoginConfig is about links that log a browser in.
type AutoLoginConfig struct {
	// Origins may be redirected to: exact origins such as
	// "https://app.example.com".
	Origins []string
	// Target is where a browser goes afterwards, on one of the Origins; it
	// may have variables: {{user_id}} {{user_email}} {{user_login}}
	// {{user_first_name}} {{user_last_name}} {{user_nicename}} {{site_url}}.
	// Empty: nowhere, a message is shown.
	Target string
	// TargetFromRequest lets redirectUrl choose another target on one of the
	// Origins. One that is not allowed is ignored.
	TargetFromRequest bool
	// AcceptAccessTokens takes a normal access token as well, any number of
	// times. Such links must not be sent around: whoever sees one is in.
	AcceptAccessTokens bool
	// DangerouslySkipConfirmation logs in by GET alone. Somebody can then
	// log another's browser into their own account by a link, and read
	// what is entered there (login CSRF). Without it a page asks first.
	DangerouslySkipConfirmation bool

	origins origins
}

const autoLoginTTL = time.Minute

func (cfg AutoLoginConfig) withDefaults() AutoLoginConfig {
	cfg.Origins = append([]string(nil), cfg.Origins...)
	cfg.origins, _ = newOrigins("AutoLogin.Origins", cfg.Origins, true) // validate reports
	return cfg
}

func (cfg AutoLoginConfig) validate(allowHTTP bool) error {
	_, err := newOrigins("AutoLogin.Origins", cfg.Origins, allowHTTP)
	if cfg.Target != "" && !cfg.origins.allow(expandTarget(cfg.Target, allVariables, "x")) {
		err = errors.Join(err, errors.New("jwtauth: Config.AutoLogin.Target must lie on one of the Origins, and variables behind its host"))
	}
	return err
}

// allVariables has a value for each variable, to check a target with.
var allVariables = User{ID: "x", Email: "x", Login: "x",
	Meta: map[string]string{MetaFirstName: "x", MetaLastName: "x", MetaNicename: "x"}}

// AutoLoginToken signs a token that logs its user in once, by [Auth.AutoLogin],
// within a minute.
func (a *Auth) AutoLoginToken(ctx context.Context, userID string) (string, error) {
	u, err := a.users.UserByID(ctx, userID)
	if err != nil {
		return "", storeFault(err)
	}
	if err := a.mayLogIn(u); err != nil {
		return "", err
	}
	return a.shortToken(typeAutoLogin, u, a.cfg.Audience, autoLoginTTL, nil)
}

// AutoLogin logs in with an auto-login token and says where to go: location is
// an allowed target, or "" for none. [ErrInvalidToken] if the token is not
// accepted, or was used before.
func (a *Auth) AutoLogin(ctx context.Context, token, target string) (g *Grant, location string, err error) {
	defer a.meter.login(ctx, EventAutoLogin).end(&err)
	u, err := a.autoLoginUser(ctx, token)
	if err != nil {
		return nil, "", a.refused(ctx, Event{Name: EventAutoLogin, UserID: u.ID}, err)
	}
	if g, err = a.openSession(ctx, EventAutoLogin, u); err != nil {
		return nil, "", err
	}
	return g, a.target(target, u), nil
}

func (a *Auth) autoLoginUser(ctx context.Context, token string) (User, error) {
	id, once, err := a.checkAutoLogin(ctx, token)
	if err != nil {
		return User{}, err
	}
	if once {
		first, err := a.codes.ClaimOnce(ctx, "autologin:"+id.TokenID, a.now(), id.Claims.ExpiresAt.Add(maxLeeway))
		if err != nil {
			return User{ID: id.UserID}, storeFault(err)
		}
		if !first {
			return User{ID: id.UserID}, invalidToken(ReasonRevoked)
		}
	}
	u, err := a.users.UserByID(ctx, id.UserID)
	if errors.Is(err, ErrNotFound) {
		return User{}, invalidToken(ReasonRevoked)
	}
	if err != nil {
		return User{ID: id.UserID}, storeFault(err)
	}
	return u, a.mayLogIn(u)
}

// checkAutoLogin verifies a token without using it up. once says whether it
// works one time only.
func (a *Auth) checkAutoLogin(ctx context.Context, token string) (id *Identity, once bool, err error) {
	g := a.verifier.gate
	g.typ, g.maxLifetime = typeAutoLogin, autoLoginTTL
	id, err = a.verifier.verify(ctx, &g, token)
	if a.cfg.AutoLogin.AcceptAccessTokens && Reason(err) == ReasonType {
		id, err = a.Verify(ctx, token)
		return id, false, err
	}
	return id, true, err
}

// CheckAutoLogin reports whether [Auth.AutoLogin] would accept the token, and
// does not use it up: mail scanners and link previews open links too.
func (a *Auth) CheckAutoLogin(ctx context.Context, token string) error {
	_, _, err := a.checkAutoLogin(ctx, token)
	return err
}

// AllowedTarget reports whether a browser may be sent to target: an absolute
// URL on one of [AutoLoginConfig.Origins] that no reader takes for anything else.
func (a *Auth) AllowedTarget(target string) bool { return a.cfg.AutoLogin.origins.allow(target) }

// target returns where a browser may go: what was asked for if that is allowed,
// else what is configured.
func (a *Auth) target(asked string, u User) string {
	cfg := a.cfg.AutoLogin
	if cfg.TargetFromRequest && cfg.origins.allow(asked) {
		return asked
	}
	return expandTarget(cfg.Target, u, a.cfg.Issuer)
}
