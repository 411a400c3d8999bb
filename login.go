package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Credentials are what somebody logs in with: a password, and exactly one of
// the three identifiers.
type Credentials struct {
	// Login is a user name or an e-mail address.
	Login string
	// Username is a user name alone.
	Username string
	// Email is an e-mail address alone.
	Email string
	// Password is the password as it was typed; spaces count.
	Password string
}

// String hides the password, and the identifiers with it.
func (Credentials) String() string { return redacted }

// GoString hides the password, and the identifiers with it.
func (Credentials) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (c Credentials) MarshalText() ([]byte, error) { return hidden(c) }

// identifier returns the one that is set.
func (c Credentials) identifier() (string, error) {
	found, n := "", 0
	for _, s := range []string{c.Login, c.Username, c.Email} {
		if s != "" {
			found = s
			n++
		}
	}
	switch {
	case n == 0:
		return "", ErrMissingFields.saying("A user name or an e-mail address is required.", "username")
	case n > 1:
		return "", ErrInvalidInput.saying("Give a user name or an e-mail address, not both.", "username", "email")
	case c.Password == "":
		return "", ErrMissingFields.saying("A password is required.", "password")
	}
	return found, nil
}

// Login checks credentials and opens a session. [ErrInvalidCredentials] is one
// answer, after one duration, for an unknown user, a wrong password and an
// account without one. [ErrAccountDisabled] and [ErrEmailNotVerified] are only
// said after the right password. [ErrOverloaded] asks to come back in a moment.
func (a *Auth) Login(ctx context.Context, c Credentials) (g *Grant, err error) {
	defer a.meter.login(ctx, EventLogin).end(&err)
	u, err := a.authenticate(ctx, c)
	if err != nil {
		return nil, a.refused(ctx, Event{Name: EventLogin, UserID: u.ID}, err)
	}
	return a.openSession(ctx, EventLogin, u)
}

// Issue opens a session for a user whom the host has signed in by its own
// means. [ErrNotFound] if there is no such user, [ErrAccountDisabled] or
// [ErrEmailNotVerified] if it can't log in.
func (a *Auth) Issue(ctx context.Context, userID string) (g *Grant, err error) {
	defer a.meter.login(ctx, EventIssue).end(&err)
	u, err := a.users.UserByID(ctx, userID)
	if err != nil {
		return nil, storeFault(err)
	}
	if err := a.mayLogIn(u); err != nil {
		return nil, a.refused(ctx, Event{Name: EventIssue, UserID: u.ID}, err)
	}
	return a.openSession(ctx, EventIssue, u)
}

// mayLogIn says why an account can't log in, to somebody who has proved that
// it is theirs.
func (a *Auth) mayLogIn(u User) error {
	switch {
	case u.Disabled:
		return ErrAccountDisabled
	case a.cfg.Verification.Required && !u.EmailVerified:
		return ErrEmailNotVerified
	}
	return nil
}

// authenticate returns the user whose password it is. With an error, the user
// is the one concerned, or zero: for the record alone.
func (a *Auth) authenticate(ctx context.Context, c Credentials) (User, error) {
	u, account, err := a.claimed(ctx, c)
	if err != nil {
		return User{}, err
	}
	if err := a.checkCurrentPassword(ctx, u, account, c.Password); err != nil {
		return u, err
	}
	if err := a.mayLogIn(u); err != nil {
		return u, err
	}
	return a.rehash(ctx, u, c.Password), nil
}

// claimed returns the user that credentials name and the account that a try is
// counted on: for an unknown name the zero user, and an account that nobody has.
func (a *Auth) claimed(ctx context.Context, c Credentials) (u User, account string, err error) {
	text, err := c.identifier()
	if err != nil {
		return User{}, "", err
	}
	u, err = a.findLogin(ctx, c, text)
	switch {
	case err == nil:
		return u, u.ID, nil
	case errors.Is(err, ErrNotFound):
		return User{}, a.decoyID(text), nil
	}
	return User{}, "", err
}

// findLogin looks up an identifier in the form that was asked for. What can't
// be an identifier is an unknown user.
func (a *Auth) findLogin(ctx context.Context, c Credentials, text string) (User, error) {
	key, err := canonicalLogin(text)
	if err != nil {
		return User{}, ErrNotFound
	}
	u, err := a.users.UserByLogin(ctx, key)
	switch {
	case err != nil:
		return User{}, storeFault(err)
	case c.Username != "" && u.LoginKey != key, c.Email != "" && u.EmailKey != key:
		return User{}, ErrNotFound
	}
	return u, nil
}

// checkCurrentPassword computes the same hashes, whoever the user is: for the
// zero user, and for an account without a password, they never fit. The try is
// counted once a slot is held, so that one that is turned away costs nothing,
// and before hashing, so that no two share the last one.
func (a *Auth) checkCurrentPassword(ctx context.Context, u User, account, password string) error {
	device := a.knownDevice(ctx, account)
	known := ""
	if device != "" {
		known = account
	}
	slot, err := a.passwords.acquire(ctx, known)
	if err != nil {
		return err
	}
	defer slot.release()
	t, err := a.countTry(ctx, account, device)
	if err != nil {
		return err
	}
	if !slot.verify(u.PasswordHash, password) {
		return cmp.Or(t.failed(context.WithoutCancel(ctx), u), error(ErrInvalidCredentials))
	}
	return t.succeeded(context.WithoutCancel(ctx))
}

// rehash brings a hash up to the configured parameters after the password has
// been proved. It is best effort: the login goes on with whatever happens, and
// a change of the account that came first wins.
func (a *Auth) rehash(ctx context.Context, u User, password string) User {
	if !a.passwords.needsRehash(u.PasswordHash) {
		return u
	}
	hash, err := a.passwords.hash(ctx, u.ID, password)
	if err != nil {
		return u
	}
	next := u.Clone()
	next.PasswordHash = hash
	stored, err := a.users.UpdateUser(ctx, next)
	if err != nil {
		a.log.WarnContext(ctx, "password hash not upgraded", "user", u.ID, "code", Code(err))
		return u
	}
	return stored
}

// openSession makes the session, its tokens and the record, in that order. If
// the record fails the session is taken back.
func (a *Auth) openSession(ctx context.Context, event string, u User) (*Grant, error) {
	if err := a.beforeLogin(ctx, u); err != nil {
		return nil, a.refused(ctx, Event{Name: event, UserID: u.ID}, err)
	}
	now := a.now()
	s := a.newSession(ctx, u, now)
	g, err := a.grant(ctx, u, s, now)
	if err != nil {
		return nil, err
	}
	unknown, err := a.unknownDevice(ctx, event, s)
	if err != nil {
		return nil, err
	}
	limit := SessionLimit{Max: a.cfg.Sessions.MaxPerUser, EvictOldest: a.cfg.Sessions.EvictOldest}
	// A client that goes away now does not stop it: nobody else could end the tokens
	// of a session that was evicted.
	ctx = context.WithoutCancel(ctx)
	evicted, err := a.sessions.CreateSession(ctx, s, limit)
	if err != nil {
		return nil, a.refused(ctx, Event{Name: event, UserID: u.ID}, storeFault(err))
	}
	if err := a.revokeSessions(ctx, evicted); err != nil {
		return nil, errors.Join(err, a.dropSession(ctx, s.ID))
	}
	if err := a.recordLogin(ctx, Event{Name: event, UserID: u.ID, SessionID: s.ID, TokenID: g.TokenID}, unknown); err != nil {
		return nil, errors.Join(err, a.dropSession(ctx, s.ID))
	}
	a.afterLogin(ctx, u, s)
	return g, nil
}

// revokeSessions revokes each of them, whatever became of the one before.
func (a *Auth) revokeSessions(ctx context.Context, list []Session) error {
	var errs []error
	for _, s := range list {
		errs = append(errs, a.revokeSession(ctx, s.ID))
	}
	return errors.Join(errs...)
}

// recordLogin writes the record, and the notice of a new device before it: who
// reads the trail backwards meets the login first.
func (a *Auth) recordLogin(ctx context.Context, login Event, unknown bool) error {
	if unknown {
		notice := login
		notice.Name = EventNewDevice
		if err := a.record(ctx, notice); err != nil {
			return err
		}
	}
	return a.record(ctx, login)
}

// unknownDevice reports whether a login looks like the first one from a device:
// it has no device token of the account, and no live session has the same user
// agent and address. A registration has nothing to be compared with.
func (a *Auth) unknownDevice(ctx context.Context, event string, s Session) (bool, error) {
	if event == EventRegister || a.knownDevice(ctx, s.UserID) != "" {
		return false, nil
	}
	list, err := a.Sessions(ctx, s.UserID)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(list, func(old Session) bool {
		return old.UserAgent == s.UserAgent && sourceOf(old.Address) == sourceOf(s.Address)
	}), nil
}

func (a *Auth) newSession(ctx context.Context, u User, now time.Time) Session {
	c := ClientFrom(ctx)
	s := Session{
		ID: newSessionID(), UserID: u.ID, CredentialVersion: u.CredentialVersion,
		Generation: 1, SecretID: a.secrets.secretID(),
		Created: now, Moved: now, Expires: now.Add(a.cfg.Sessions.Lifetime),
		UserAgent: clip(c.UserAgent, maxUserAgent), DeviceID: clip(c.DeviceID, maxRequestID),
	}
	if c.IP.IsValid() {
		s.Address = c.IP.String()
	}
	return s
}

// grant signs an access token and derives the refresh token beside it.
func (a *Auth) grant(ctx context.Context, u User, s Session, now time.Time) (*Grant, error) {
	c, token, err := a.accessToken(ctx, u, s, now)
	if err != nil {
		return nil, err
	}
	refresh, err := a.secrets.refreshToken(s)
	if err != nil {
		return nil, ErrUnavailable.because(err)
	}
	return &Grant{AccessToken: token, RefreshToken: refresh, TokenType: "Bearer", DeviceToken: a.grantDevice(ctx, u, s, now),
		ExpiresAt: c.ExpiresAt, TokenID: c.ID, User: u, Session: s}, nil
}

// grantDevice makes a device token at login. A device that has a good one keeps
// it, and its budget with it; a refresh has no say.
func (a *Auth) grantDevice(ctx context.Context, u User, s Session, now time.Time) Secret {
	if s.Generation != 1 || a.cfg.Lockout.Disabled {
		return ""
	}
	if a.knownDevice(ctx, u.ID) != "" {
		return ClientFrom(ctx).DeviceToken
	}
	return Secret(a.deviceToken(u.ID, now))
}

// dropSession removes a session. That it is gone already is no error.
func (a *Auth) dropSession(ctx context.Context, id string) error {
	err := a.sessions.EndSession(context.WithoutCancel(ctx), id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return storeFault(err)
}

func newTokenID() (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("no randomness: %w", err)
	}
	return id.String(), nil
}

// Refresh exchanges a refresh token for a new pair. The one before the current
// one still yields the current pair during the grace window, so that concurrent
// refreshes and lost answers converge; any older one, and that one later, is
// reuse: the session ends and its tokens with it (RFC 9700, section 4.14.2).
// Every refusal is [ErrInvalidRefreshToken].
//
// It also takes a still valid access token in place of a refresh token, for
// clients that know no other way. The answer then has no refresh token.
// [SessionConfig.RefreshTokensOnly] refuses that.
func (a *Auth) Refresh(ctx context.Context, refreshToken string) (*Grant, error) {
	return a.refresh(ctx, refreshToken, 0)
}

// RefreshExpired is [Auth.Refresh] for clients that come back with an access
// token after it has expired: it is taken until within is over, as long as its
// session lives and has not moved on. That lets whoever finds an old token in;
// a refresh token serves better where the client can keep one.
func (a *Auth) RefreshExpired(ctx context.Context, token string, within time.Duration) (*Grant, error) {
	return a.refresh(ctx, token, max(within, 0))
}

func (a *Auth) refresh(ctx context.Context, token string, within time.Duration) (g *Grant, err error) {
	defer a.meter.start(ctx, MetricRefresh).end(&err)
	ref, byAccess, err := a.presented(ctx, token, within)
	if err != nil {
		return nil, a.refused(ctx, Event{Name: EventRefresh, SessionID: ref.sessionID}, err)
	}
	now := a.now()
	s, u, err := a.liveSession(ctx, ref.sessionID, now)
	if err != nil {
		return nil, a.refused(ctx, Event{Name: EventRefresh, SessionID: ref.sessionID, UserID: u.ID}, err)
	}
	g, err = a.refreshed(ctx, u, s, ref.generation, now)
	if err != nil {
		return nil, err
	}
	if byAccess {
		g.RefreshToken = ""
	}
	if err := a.record(ctx, Event{Name: EventRefresh, UserID: u.ID, SessionID: s.ID, TokenID: g.TokenID}); err != nil {
		return nil, err
	}
	return g, nil
}

// refreshed makes the tokens and then moves the session, so that a hook or a
// key that fails costs the client nothing: it can come back with what it has.
// Only when another refresh came first are the tokens made again.
func (a *Auth) refreshed(ctx context.Context, u User, s Session, from int64, now time.Time) (*Grant, error) {
	next := s
	if from == s.Generation {
		next.Generation++
		next.SecretID = a.secrets.secretID()
	}
	g, err := a.grant(ctx, u, next, now)
	if err != nil {
		return nil, err
	}
	moved, err := a.advance(ctx, s, from, now)
	if err != nil {
		return nil, err
	}
	if moved.Generation != next.Generation || moved.SecretID != next.SecretID {
		return a.grant(ctx, u, moved, now)
	}
	g.Session = moved
	return g, nil
}

// presented reads what a client refreshes with, and says whether it was an
// access token. Nothing is changed by a token that is not genuine.
func (a *Auth) presented(ctx context.Context, token string, within time.Duration) (ref refreshRef, byAccess bool, err error) {
	if isRefreshToken(token) {
		ref, err = a.secrets.parseRefreshToken(token)
		return ref, false, err
	}
	if a.cfg.Sessions.RefreshTokensOnly {
		return ref, true, ErrInvalidRefreshToken
	}
	g := a.verifier.gate
	g.acceptExpired = within
	id, err := a.verifier.verify(ctx, &g, token)
	if err != nil {
		return ref, true, err
	}
	return refreshRef{id.SessionID, id.Claims.Generation}, true, nil
}

// liveSession returns a session and its user if both may go on. Nothing moves
// before the user has been read: a fault here costs the client nothing.
func (a *Auth) liveSession(ctx context.Context, id string, now time.Time) (Session, User, error) {
	s, err := a.sessions.Session(ctx, id)
	if err != nil {
		return Session{}, User{}, refreshFault(err)
	}
	u, err := a.users.UserByID(ctx, s.UserID)
	if err != nil {
		return Session{}, User{ID: s.UserID}, refreshFault(err)
	}
	idle := a.cfg.Sessions.Idle
	over := !now.Before(s.Expires) || idle > 0 && now.Sub(s.Moved) >= idle
	if over || u.Disabled || s.CredentialVersion != u.CredentialVersion {
		return Session{}, u, ErrInvalidRefreshToken.because(reason(ReasonExpired))
	}
	return s, u, nil
}

// refreshFault turns absence into a refusal; faults stay faults.
func refreshFault(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrInvalidRefreshToken.because(reason(ReasonRevoked))
	}
	return storeFault(err)
}

// advance moves a session on, or finds out why it does not move. Earlier
// generations are told to die first: if that fails nothing has moved.
func (a *Auth) advance(ctx context.Context, s Session, from int64, now time.Time) (Session, error) {
	adv := SessionAdvance{SessionID: s.ID, From: from, Now: now, SecretID: a.secrets.secretID()}
	if idle := a.cfg.Sessions.Idle; idle > 0 {
		adv.MovedAfter = now.Add(-idle)
	}
	if from == s.Generation {
		if err := a.retireGenerations(ctx, s.ID, from+1, now); err != nil {
			return Session{}, err
		}
	}
	s, moved, err := a.sessions.AdvanceSession(ctx, adv)
	if err != nil {
		return Session{}, refreshFault(err)
	}
	if !moved && !a.inGrace(s, from, now) {
		return Session{}, a.reused(ctx, s, from)
	}
	return s, nil
}

// inGrace reports whether from is the generation before the current one, and
// was so only a moment ago. Without a grace window it never is: a request that
// was a little earlier, or whose node's clock lags, is no exception.
func (a *Auth) inGrace(s Session, from int64, now time.Time) bool {
	grace := a.cfg.Sessions.Grace
	return grace > 0 && from == s.Generation-1 && now.Before(s.Moved.Add(grace)) && now.Before(s.Expires)
}

// retireGenerations lets access tokens below a generation die when the grace
// window is over, so that requests in flight finish.
func (a *Auth) retireGenerations(ctx context.Context, sessionID string, below int64, now time.Time) error {
	err := a.revocations.Revoke(ctx, Revocation{SessionID: sessionID, Generation: below,
		From: now.Add(a.cfg.Sessions.Grace), Expires: a.tokensGone(now)})
	return storeFault(err)
}

// reused ends a session whose refresh token was used twice: one of the two
// callers is a thief, and it can't be told which.
func (a *Auth) reused(ctx context.Context, s Session, from int64) error {
	if from >= s.Generation { // ended by time, or a generation of a restored backup
		return a.refused(ctx, Event{Name: EventRefresh, UserID: s.UserID, SessionID: s.ID}, ErrInvalidRefreshToken)
	}
	if err := a.endSession(ctx, s.ID); err != nil {
		return err
	}
	return a.refused(ctx, Event{Name: EventReuse, UserID: s.UserID, SessionID: s.ID},
		ErrInvalidRefreshToken.because(reason(ReasonRevoked)))
}

// Revoke ends the session that a token belongs to: an access token, expired or
// not, or a refresh token. It is idempotent (RFC 7009, section 2.2): a token
// that is unknown, already revoked or not ours changes nothing and is no error.
// [ErrUnavailable] means that nothing is certain; try again.
func (a *Auth) Revoke(ctx context.Context, token string) error {
	userID, sessionID, tokenID, err := a.revocable(ctx, token)
	if errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrInvalidRefreshToken) {
		return nil
	}
	if err != nil {
		return err
	}
	if tokenID != "" {
		err := a.revocations.Revoke(ctx, Revocation{TokenID: tokenID, Expires: a.tokensGone(a.now())})
		if err != nil {
			return storeFault(err)
		}
	}
	if sessionID != "" {
		if err := a.endSession(ctx, sessionID); err != nil {
			return err
		}
	}
	return a.record(ctx, Event{Name: EventRevoke, UserID: userID, SessionID: sessionID, TokenID: tokenID})
}

// revocable reads a token that is to be revoked. Its signature must fit; that it
// has expired does not matter, since its session may live on.
func (a *Auth) revocable(ctx context.Context, token string) (userID, sessionID, tokenID string, err error) {
	if isRefreshToken(token) {
		ref, err := a.secrets.parseRefreshToken(token)
		if err != nil {
			return "", "", "", err
		}
		s, err := a.sessions.Session(ctx, ref.sessionID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return "", "", "", storeFault(err)
		}
		return s.UserID, ref.sessionID, "", nil
	}
	lenient := a.verifier.gate
	lenient.acceptExpired = maxSessionLife
	c, _, err := lenient.check(ctx, token, a.verifier.keys, a.now())
	return c.Subject, c.SessionID, c.ID, err
}

// RevokeUser ends all sessions of a user, now and on every node, without
// changing the account: everybody logs in again.
func (a *Auth) RevokeUser(ctx context.Context, userID string) error {
	return a.changeUser(ctx, userID, EventRevoke, func(u *User) { u.CredentialVersion++ })
}

// Sessions lists the user's live sessions, the latest login first.
func (a *Auth) Sessions(ctx context.Context, userID string) ([]Session, error) {
	list, err := a.sessions.Sessions(ctx, userID, a.now())
	return list, storeFault(err)
}

// Session returns one session, or [ErrNotFound].
func (a *Auth) Session(ctx context.Context, id string) (Session, error) {
	s, err := a.sessions.Session(ctx, id)
	return s, storeFault(err)
}

// AllSessions returns one page of the sessions of all users, the latest login
// first, and how many there are on all pages: for administrators. It needs a
// store that is a [SessionLister].
func (a *Auth) AllSessions(ctx context.Context, q SessionQuery) (page []Session, total int, err error) {
	l, p, ok := partOf[SessionLister](a.cfg.Sessions.Store)
	if !ok {
		return nil, 0, ErrUnavailable.because(errors.New("this session store can't list"))
	}
	if q.Offset < 0 || q.Limit < 0 || q.Limit > 1000 {
		return nil, 0, ErrInvalidInput.saying("A page has 1 to 1,000 sessions.", "limit", "offset")
	}
	defaultTo(&q.Limit, 100)
	type result struct {
		page  []Session
		total int
	}
	r, err := ask(ctx, p, 1, func(ctx context.Context) (r result, err error) {
		r.page, r.total, err = l.ListSessions(ctx, q)
		return r, err
	})
	return r.page, r.total, storeFault(err)
}

// EndSession ends one session of a user. [ErrNotFound] if the user has no such
// session; somebody else's is not told apart from none.
func (a *Auth) EndSession(ctx context.Context, userID, sessionID string) error {
	s, err := a.sessions.Session(ctx, sessionID)
	if err != nil {
		return storeFault(err)
	}
	if s.UserID != userID {
		return ErrNotFound
	}
	if err := a.endSession(ctx, sessionID); err != nil {
		return err
	}
	return a.record(ctx, Event{Name: EventSessionEnd, UserID: userID, SessionID: sessionID})
}

// EndOtherSessions ends all sessions of a user but one ("" for all), and
// returns how many.
func (a *Auth) EndOtherSessions(ctx context.Context, userID, keep string) (int, error) {
	list, err := a.Sessions(ctx, userID)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range list {
		if s.ID == keep {
			continue
		}
		if err := a.endSession(ctx, s.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, a.record(ctx, Event{Name: EventSessionEnd, UserID: userID})
}

// endSession refuses the tokens of a session, then removes it. In this order a
// fault half way leaves a session that is still listed and can be ended again;
// in the other one it would leave live tokens that nobody can find. A refresh in
// between makes tokens that are refused already.
func (a *Auth) endSession(ctx context.Context, id string) error {
	ctx = context.WithoutCancel(ctx)
	if err := a.revokeSession(ctx, id); err != nil {
		return err
	}
	return a.dropSession(ctx, id)
}

func (a *Auth) revokeSession(ctx context.Context, id string) error {
	err := a.revocations.Revoke(ctx, Revocation{SessionID: id, Generation: AllGenerations, Expires: a.tokensGone(a.now())})
	return storeFault(err)
}

// tokensGone is when every access token that exists now has expired, also by
// the clock of a node that lags behind.
func (a *Auth) tokensGone(now time.Time) time.Time {
	return now.Add(a.cfg.Tokens.MaxTTL + maxLeeway)
}

// isRefreshToken tells the two kinds of token apart by their first bytes; a
// JWT never starts like this.
func isRefreshToken(token string) bool {
	return len(token) >= len(refreshPrefix) && token[:len(refreshPrefix)] == refreshPrefix
}

// RefreshSession returns the session that a genuine refresh token of this Auth
// belongs to, and "" for anything else. It asks no store: whether the session
// is alive and the token current is for [Auth.Refresh] to say. Limits use it.
func (a *Auth) RefreshSession(refreshToken string) string {
	ref, err := a.secrets.parseRefreshToken(refreshToken)
	if err != nil {
		return ""
	}
	return ref.sessionID
}
