package jwtauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SSOConfig lists the sites whose users may sign in here.
type SSOConfig struct {
	Sites []SSOSite
}

// SSOSite is a connected site. Key, Secret, Issuer and either Keys or JWKS are
// required.
type SSOSite struct {
	// Key names the site in an exchange: 1 to 64 of the characters that a
	// claim name may have.
	Key string
	// Secret signs exchanges, at least 32 random bytes. No two sites share
	// one, and it is neither Config.Secret nor a signing key.
	Secret []byte
	// OldSecret is still accepted while Secret takes over.
	OldSecret []byte
	// Issuer is the iss of the site's tokens.
	Issuer string
	// Audience lists who we are to that site: its tokens must name one of
	// them. Default: Config.Audience.
	Audience []string
	// Keys verify the site's tokens; JWKS fetches them instead. Where Keys
	// has a single key it verifies whatever kid a token names: a PEM file
	// does not say by which name its owner calls the key.
	Keys *KeySet
	JWKS *JWKS
	// Create makes an account for a user who has none here. Otherwise only
	// users that are linked already, or get linked by address, come in.
	Create bool
	// Roles maps the site's roles to ours, for accounts that Create makes.
	// What is not in it is not taken over; without any of it a new account
	// gets [RegistrationConfig.Roles].
	Roles map[string]string
	// LinkVerifiedEmail links a user to the account here that has the same
	// address, if both sides have verified it and the account has no other
	// roles than a new one gets. It trusts the site with those accounts.
	LinkVerifiedEmail bool
}

// String names the site and nothing else.
func (s SSOSite) String() string { return "jwtauth.SSOSite(" + s.Key + ")" }

// GoString is String, for %#v.
func (s SSOSite) GoString() string { return s.String() }

// MarshalText is String, for encoding/json, log/slog and others.
func (s SSOSite) MarshalText() ([]byte, error) { return hidden(s) }

const (
	ssoTokenTTL    = time.Minute
	maxSSOLifetime = 5 * time.Minute
)

// ssoSite is a site with everything that was checked about it.
type ssoSite struct {
	SSOSite
	gate gate
	keys keyFinder
}

func (cfg SSOConfig) withDefaults(audience []string) SSOConfig {
	cfg.Sites = slices.Clone(cfg.Sites)
	for i := range cfg.Sites {
		s := &cfg.Sites[i]
		s.Secret, s.OldSecret = slices.Clone(s.Secret), slices.Clone(s.OldSecret)
		s.Roles = maps.Clone(s.Roles)
		if s.Audience = slices.Clone(s.Audience); len(s.Audience) == 0 {
			s.Audience = audience
		}
	}
	return cfg
}

func (cfg Config) validateSSO() error {
	var errs []error
	keys := map[string]string{}
	secrets := map[string]string{string(cfg.Secret): "Config.Secret"}
	for i, s := range cfg.SSO.Sites {
		name := fmt.Sprintf("Config.SSO.Sites[%d]", i)
		for _, err := range []error{s.validate(), cfg.validateSiteSecrets(s, name, secrets), unique("its Key", s.Key, name, keys)} {
			if err != nil {
				errs = append(errs, fmt.Errorf("jwtauth: %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// validate checks what a site can be wrong in by itself.
func (s SSOSite) validate() error {
	var errs []error
	wrong := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New(what))
		}
	}
	wrong(!ValidClaimName(s.Key) || len(s.Key) > 64, "Key must be 1 to 64 letters, digits or _ - . : /")
	wrong(!plainText(s.Issuer), "Issuer is required")
	wrong((s.Keys == nil) == (s.JWKS == nil), "Keys or JWKS is required, and not both")
	for _, role := range s.Roles {
		wrong(checkRoles([]string{role}) != nil, "Roles has a role with a name that is not allowed")
	}
	return errors.Join(errs...)
}

// validateSiteSecrets checks a site's secrets, each of which is for one purpose
// and known to one site.
func (cfg Config) validateSiteSecrets(s SSOSite, site string, seen map[string]string) error {
	var errs []error
	for _, secret := range append([][]byte{s.Secret}, optional(s.OldSecret)...) {
		err := checkSecret(secret)
		if err == nil && cfg.Keys != nil && cfg.Keys.holdsSecret(secret) {
			err = errors.New("is a signing key as well")
		}
		if err == nil {
			err = unique("it", string(secret), site, seen)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("Secret %w", err))
		}
	}
	return errors.Join(errs...)
}

// unique reports a value that was seen before, and by whom.
func unique(what, value, owner string, seen map[string]string) error {
	if other, twice := seen[value]; twice {
		return fmt.Errorf("%s is the same as that of %s", what, other)
	}
	seen[value] = owner
	return nil
}

func optional(secret []byte) [][]byte {
	if len(secret) == 0 {
		return nil
	}
	return [][]byte{secret}
}

func newSites(cfg Config) map[string]*ssoSite {
	sites := make(map[string]*ssoSite, len(cfg.SSO.Sites))
	for _, s := range cfg.SSO.Sites {
		sites[s.Key] = &ssoSite{
			SSOSite: s,
			gate: gate{issuer: s.Issuer, audience: s.Audience, typ: typeSSO,
				leeway: cfg.Tokens.Leeway, maxLifetime: maxSSOLifetime},
			keys: siteKeys(s),
		}
	}
	return sites
}

func siteKeys(s SSOSite) keyFinder {
	byID := VerifierConfig{Keys: s.Keys, JWKS: s.JWKS}.finder()
	if s.Keys == nil {
		return byID
	}
	return func(ctx context.Context, kid string) (Key, error) {
		if key, ok := s.Keys.only(); ok {
			return key, nil
		}
		return byID(ctx, kid)
	}
}

// SignExchange returns the signature of an exchange: HMAC-SHA256 over the
// fields "jwtauth-sso-v1", site key and token, each behind its length in 4
// bytes, big endian, as lower-case hexadecimal. The lengths keep one field from
// running into the next. The site that sends its user over calls it.
func SignExchange(siteKey string, secret []byte, token string) string {
	m := hmac.New(sha256.New, secret)
	writeFields(m, "jwtauth-sso-v1", siteKey, token)
	return hex.EncodeToString(m.Sum(nil))
}

// SSOToken signs a token with which a user of this site signs in at another
// one: audience is what that site calls itself. It lives for a minute and
// names the user, the address and the roles.
func (a *Auth) SSOToken(ctx context.Context, userID, audience string) (string, error) {
	u, err := a.users.UserByID(ctx, userID)
	if err != nil {
		return "", storeFault(err)
	}
	if err := a.mayLogIn(u); err != nil {
		return "", err
	}
	if !plainText(audience) {
		return "", ErrInvalidInput.saying("The audience is required.", "audience")
	}
	return a.shortToken(typeSSO, u, []string{audience}, ssoTokenTTL, map[string]any{
		"email": u.Email, "email_verified": u.EmailVerified, "preferred_username": u.Login, "name": u.DisplayName})
}

// shortToken signs a token without a session, for one use.
func (a *Auth) shortToken(typ string, u User, audience []string, ttl time.Duration, extra map[string]any) (string, error) {
	now := a.now().Truncate(time.Second).UTC()
	_, token, err := a.signed(typ, Claims{Subject: u.ID, Audience: audience, IssuedAt: now, ExpiresAt: now.Add(ttl),
		Version: u.CredentialVersion, Roles: u.Roles}, extra)
	return token, err
}

// Exchange asks for a session here with a token of a connected site.
type Exchange struct {
	// SiteKey names the site.
	SiteKey string
	// Token is the site's token, Signature what [SignExchange] made of it.
	Token, Signature string
}

// String hides the token and its signature.
func (e Exchange) String() string { return redacted }

// GoString hides the token and its signature.
func (e Exchange) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (e Exchange) MarshalText() ([]byte, error) { return hidden(e) }

// ExchangeSSO logs a user of a connected site in. The token must pass the
// strict gate with that site's keys, issuer and audience, and works once, on
// any node. Every refusal is [ErrInvalidExchange]; an account that is disabled
// here is [ErrAccountDisabled].
func (a *Auth) ExchangeSSO(ctx context.Context, x Exchange) (g *Grant, err error) {
	defer a.meter.login(ctx, EventSSO).end(&err)
	if x.SiteKey == "" || x.Token == "" || x.Signature == "" {
		return nil, ErrMissingFields.saying("The site key, the token and the signature are required.", "site_key", "token", "signature")
	}
	u, err := a.ssoUser(ctx, x)
	if err == nil {
		err = a.mayLogIn(u)
	}
	if err != nil {
		return nil, a.refused(ctx, Event{Name: EventSSO, UserID: u.ID}, err)
	}
	return a.openSession(ctx, EventSSO, u)
}

// ssoUser checks an exchange and finds whom it is about.
func (a *Auth) ssoUser(ctx context.Context, x Exchange) (User, error) {
	site, err := a.checkExchange(x)
	if err != nil {
		return User{}, err
	}
	c, _, err := site.gate.check(ctx, x.Token, site.keys, a.now())
	if err != nil {
		return User{}, asExchange(err)
	}
	first, err := a.codes.ClaimOnce(ctx, "sso:"+site.Key+":"+c.ID, a.now(), c.ExpiresAt.Add(maxLeeway))
	switch {
	case err != nil:
		return User{}, storeFault(err)
	case !first:
		return User{}, ErrInvalidExchange.because(errors.New("the token was used before"))
	}
	return a.linkedUser(ctx, site, c)
}

// checkExchange finds the site whose signature it is. An unknown site costs the
// same as a bad signature: it is checked with a secret that nobody has.
func (a *Auth) checkExchange(x Exchange) (*ssoSite, error) {
	site, known := a.sites[x.SiteKey]
	secrets := [][]byte{a.secrets.current.keyed("no site")}
	if known {
		secrets = append([][]byte{site.Secret}, optional(site.OldSecret)...)
	}
	signed := false
	for _, secret := range secrets {
		signed = hmac.Equal([]byte(SignExchange(x.SiteKey, secret, x.Token)), []byte(x.Signature)) || signed
	}
	if !known || !signed {
		return nil, ErrInvalidExchange.because(reason(ReasonSignature))
	}
	return site, nil
}

// asExchange keeps faults and turns refusals of a token into those of an exchange.
func asExchange(err error) error {
	if e, ok := asError(err); ok && e.Code == ErrInvalidToken.Code {
		return ErrInvalidExchange.because(e.cause)
	}
	return err
}

// linkedUser returns the account of (site, subject): the one that is linked,
// else one that may be linked by its address, else a new one.
func (a *Auth) linkedUser(ctx context.Context, site *ssoSite, c Claims) (User, error) {
	identity := ssoIdentity(site.Key, c.Subject)
	u, err := a.users.UserByLogin(ctx, identity)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return u, storeFault(err)
	}
	remote := readRemote(c)
	if site.LinkVerifiedEmail && remote.emailKey != "" {
		u, err := a.users.UserByLogin(ctx, remote.emailKey)
		if err == nil && u.EmailKey == remote.emailKey && u.EmailVerified && !a.privileged(u) {
			u.Identities = append(u.Identities, identity)
			u, err = a.users.UpdateUser(ctx, u)
		}
		if !errors.Is(err, ErrNotFound) && (err != nil || slices.Contains(u.Identities, identity)) {
			return u, storeFault(err)
		}
	}
	if !site.Create {
		return User{}, ErrInvalidExchange.because(errors.New("no account is linked"))
	}
	return a.createLinked(ctx, site, c, remote, identity)
}

// ssoIdentity is a key that nobody can type: user names and addresses have no
// spaces.
func ssoIdentity(site, subject string) string { return "sso " + site + " " + subject }

// privileged accounts have more roles than a new one gets.
func (a *Auth) privileged(u User) bool {
	return slices.ContainsFunc(u.Roles, func(r string) bool { return !slices.Contains(a.cfg.Registration.Roles, r) })
}

// remoteUser is what a site says about its user, as far as it may be believed.
type remoteUser struct {
	email, emailKey, login, name string
}

func readRemote(c Claims) remoteUser {
	var r remoteUser
	var verified bool
	_, _ = c.Decode("email_verified", &verified)
	if _, err := c.Decode("email", &r.email); err == nil && verified {
		r.emailKey, _ = CanonicalEmail(r.email)
	}
	if r.emailKey == "" {
		r.email = ""
	}
	_, _ = c.Decode("preferred_username", &r.login)
	_, _ = c.Decode("name", &r.name)
	return r
}

// createLinked makes an account. Its user name is the remote one if that is
// free, else one with the site in it. An address that belongs to somebody here
// is left out, not taken over.
func (a *Auth) createLinked(ctx context.Context, site *ssoSite, c Claims, r remoteUser, identity string) (User, error) {
	u := User{Identities: []string{identity}, Email: r.email, EmailKey: r.emailKey, EmailVerified: r.emailKey != "",
		DisplayName: r.name, Roles: mapRoles(site.Roles, c.Roles, a.cfg.Registration.Roles), Created: a.now().UTC()}
	var err error
	for _, login := range []string{r.login, site.Key + "-" + c.Subject, site.Key + "-" + strings.ToLower(newSessionID())} {
		if u.LoginKey, err = CanonicalName(login); err != nil {
			continue
		}
		u.Login = login
		if !plainText(u.DisplayName) {
			u.DisplayName = login
		}
		stored, err := a.users.CreateUser(ctx, u)
		if errors.Is(err, ErrEmailTaken) {
			u.Email, u.EmailKey, u.EmailVerified = "", "", false
			stored, err = a.users.CreateUser(ctx, u)
		}
		switch {
		case errors.Is(err, ErrLoginTaken):
			continue
		case errors.Is(err, ErrIdentityTaken): // another exchange of the same user came first
			stored, err = a.users.UserByLogin(ctx, identity)
		}
		return stored, storeFault(err)
	}
	return User{}, ErrInvalidExchange.because(errors.New("no user name is free"))
}

func mapRoles(table map[string]string, remote, fallback []string) []string {
	var roles []string
	for _, r := range remote {
		if own, ok := table[r]; ok && !slices.Contains(roles, own) {
			roles = append(roles, own)
		}
	}
	if roles == nil {
		return slices.Clone(fallback)
	}
	return roles
}
