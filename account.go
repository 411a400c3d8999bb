package jwtauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Registration is a request for a new account.
type Registration struct {
	// Username is the user name; empty means that the e-mail address is it.
	Username string
	// Email is the e-mail address.
	Email string
	// Password must meet the policy of [PasswordConfig].
	Password string
	// Name is the display name; empty means first and last name of the
	// Profile, and without those the user name.
	Name string
	// Profile has further fields, by the names that [ProfileFields] lists.
	// Others are left out. The nickname defaults to the user name.
	Profile map[string]string
	// Roles replace [RegistrationConfig.Roles]. They are the host's to set:
	// the HTTP API never takes them from a request.
	Roles []string
	// EmailVerified says that the host knows the address to be the user's.
	// The HTTP API never sets it.
	EmailVerified bool
	// Meta has entries for [User.Meta] beside those of the Profile, up to 64,
	// with names as [ValidClaimName] has them and values of up to 2,048 bytes.
	// Those that ProfileFields lists can't be set here. The HTTP API never
	// sets it.
	Meta map[string]string
	// NoLogin makes the account and opens no session: the Grant then has a
	// User and no tokens.
	NoLogin bool
}

// String hides the password, and the rest with it.
func (Registration) String() string { return redacted }

// GoString hides the password, and the rest with it.
func (Registration) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (x Registration) MarshalText() ([]byte, error) { return hidden(x) }

// maxDisplayName is in bytes.
const maxDisplayName = 255

// Register makes an account and logs it in. [ErrRegistrationClosed],
// [ErrMissingFields], [ErrInvalidInput] and [ErrWeakPassword] say what is wrong
// with the request, [ErrLoginTaken] and [ErrEmailTaken] that the account would
// collide with another one. With [RegistrationConfig.Private] these two look
// like success, and the Grant of both is empty. With
// [VerificationConfig.Required] the Grant has a User and no tokens.
func (a *Auth) Register(ctx context.Context, r Registration) (g *Grant, err error) {
	defer a.meter.login(ctx, EventRegister).end(&err)
	if a.cfg.Registration.Closed {
		return nil, a.refused(ctx, Event{Name: EventRegister}, ErrRegistrationClosed)
	}
	u, err := a.createUser(ctx, r)
	taken := errors.Is(err, ErrLoginTaken) || errors.Is(err, ErrEmailTaken)
	switch {
	case a.cfg.Registration.Private && (err == nil || taken):
		return &Grant{}, a.registerPrivately(ctx, r, u, err)
	case err != nil:
		return nil, a.refused(ctx, Event{Name: EventRegister}, err)
	case a.cfg.Verification.Required && !u.EmailVerified:
		if err := a.sendVerification(ctx, u); err != nil {
			return nil, err
		}
		if err := a.record(ctx, Event{Name: EventRegister, UserID: u.ID}); err != nil {
			return nil, err
		}
		return &Grant{User: u}, nil
	case r.NoLogin:
		return &Grant{User: u}, a.record(ctx, Event{Name: EventRegister, UserID: u.ID})
	}
	return a.openSession(ctx, EventRegister, u)
}

// registerPrivately ends a registration whose answer must not say whether the
// account is new. Both outcomes send a mail to the address: to a new account
// where addresses are confirmed, to the owner of the older one always.
func (a *Auth) registerPrivately(ctx context.Context, r Registration, u User, err error) error {
	if err == nil {
		if a.cfg.Verification.Required {
			if err := a.sendVerification(ctx, u); err != nil {
				return err
			}
		}
		return a.record(ctx, Event{Name: EventRegister, UserID: u.ID})
	}
	owner, findErr := a.UserByLogin(ctx, r.Email)
	if findErr != nil && !errors.Is(findErr, ErrNotFound) {
		return findErr
	}
	// The name may be taken while the address is not: then there is nobody to tell.
	if findErr == nil {
		count, err := a.counters.Hit(ctx, "mail:taken:"+owner.ID, mailsPerHour, time.Hour, a.now())
		if err != nil {
			return storeFault(err)
		}
		if count.Admitted {
			a.mail(ctx, MailTaken, owner, MailData{})
		}
	}
	return a.record(ctx, Event{Name: EventRegister, UserID: owner.ID, Result: ResultRefused, Reason: Code(err)})
}

// CreateUser makes an account without logging it in, also where registration is
// closed: for administrators, imports and the first account. Its errors are
// those of [Auth.Register].
func (a *Auth) CreateUser(ctx context.Context, r Registration) (User, error) {
	u, err := a.createUser(ctx, r)
	if err != nil {
		return User{}, a.refused(ctx, Event{Name: EventRegister}, err)
	}
	if err := a.record(ctx, Event{Name: EventRegister, UserID: u.ID}); err != nil {
		return User{}, err
	}
	return u, nil
}

// createUser checks everything that costs nothing first, then hashes, then lets
// the store decide about collisions: only it can, atomically.
func (a *Auth) createUser(ctx context.Context, r Registration) (User, error) {
	u, err := a.newUser(r)
	if err != nil {
		return User{}, err
	}
	if err := a.checkNewPassword(ctx, r.Password, u); err != nil {
		return User{}, err
	}
	if err := a.beforeRegister(ctx, r); err != nil {
		return User{}, err
	}
	if u.PasswordHash, err = a.passwords.hash(ctx, "", r.Password); err != nil {
		return User{}, err
	}
	u, err = a.users.CreateUser(ctx, u)
	return u, storeFault(err)
}

// newUser checks and canonicalizes the fields of a registration.
func (a *Auth) newUser(r Registration) (User, error) {
	var missing []string
	if r.Email == "" {
		missing = append(missing, "email")
	}
	if r.Password == "" {
		missing = append(missing, "password")
	}
	if missing != nil {
		return User{}, ErrMissingFields.saying("An e-mail address and a password are required.", missing...)
	}
	loginKey, emailKey, err := canonicalIdentifiers(r.Username, r.Email)
	if err != nil {
		return User{}, err
	}
	if !a.domainAllowed(emailKey) {
		return User{}, ErrInvalidInput.saying("Addresses of this domain can't register here.", "email").because(reason(ReasonDomain))
	}
	if r.Username == "" {
		r.Username = r.Email
	}
	meta, err := checkProfile(r.Profile)
	if err == nil {
		err = addMeta(meta, r.Meta)
	}
	if err != nil {
		return User{}, err
	}
	if meta[MetaNickname] == "" {
		meta[MetaNickname] = r.Username
	}
	r.Name = displayName(r)
	if !plainText(r.Name) || len(r.Name) > maxDisplayName {
		return User{}, ErrInvalidInput.saying("The name is too long or has characters that are not allowed.", "name")
	}
	if r.Roles == nil {
		r.Roles = a.cfg.Registration.Roles
	}
	if err := checkRoles(r.Roles); err != nil {
		return User{}, ErrInvalidInput.saying("A role has a name that is not allowed.", "roles")
	}
	return User{Login: r.Username, Email: r.Email, LoginKey: loginKey, EmailKey: emailKey,
		DisplayName: r.Name, Roles: slices.Clone(r.Roles), Meta: meta, EmailVerified: r.EmailVerified, Created: a.now().UTC()}, nil
}

func (a *Auth) domainAllowed(emailKey string) bool {
	domains := a.cfg.Registration.EmailDomains
	_, domain, _ := strings.Cut(emailKey, "@")
	return len(domains) == 0 || slices.Contains(domains, domain)
}

// checkNewPassword applies the policy.
func (a *Auth) checkNewPassword(ctx context.Context, password string, u User) error {
	if err := a.cfg.Passwords.check(ctx, password, u, a.cfg.Issuer); err != nil {
		return err
	}
	return a.passwordPolicy(ctx, u, password)
}

// PasswordChange is a request to replace one's own password.
type PasswordChange struct {
	// UserID is the account, from a verified token.
	UserID string
	// Current is the password as it is.
	Current string
	// New must meet the policy.
	New string
}

// String hides both passwords.
func (PasswordChange) String() string { return redacted }

// GoString hides both passwords.
func (PasswordChange) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (x PasswordChange) MarshalText() ([]byte, error) { return hidden(x) }

// ChangePassword replaces the password of somebody who knows the current one.
// Every session and every token of the account dies, this one included; that
// holds within the same second too, since tokens carry the credential version
// and not only a time. A wrong current password is [ErrInvalidCredentials].
func (a *Auth) ChangePassword(ctx context.Context, c PasswordChange) error {
	if c.Current == "" || c.New == "" {
		return ErrMissingFields.saying("The current and the new password are required.", "current_password", "new_password")
	}
	u, err := a.users.UserByID(ctx, c.UserID)
	if err != nil {
		return storeFault(err)
	}
	err = a.checkCurrentPassword(ctx, u, u.ID, c.Current)
	if err == nil {
		err = a.checkNewPassword(ctx, c.New, u)
	}
	if err == nil {
		err = a.replacePassword(ctx, u, c.New, EventPasswordChange)
	}
	if err != nil {
		return a.refused(ctx, Event{Name: EventPasswordChange, UserID: u.ID}, err)
	}
	a.mail(ctx, MailPasswordChanged, u, MailData{})
	return nil
}

// replacePassword stores a new password against the row that the old one was
// checked on. If that row has moved on meanwhile, [ErrConflict]: what was
// proved may no longer be true.
func (a *Auth) replacePassword(ctx context.Context, u User, password, event string) error {
	hash, err := a.passwords.hash(ctx, u.ID, password)
	if err != nil {
		return err
	}
	u.PasswordHash = hash
	u.CredentialVersion++
	ctx = context.WithoutCancel(ctx) // or the row might be written, and the tokens live on
	stored, err := a.users.UpdateUser(ctx, u)
	if err != nil {
		return storeFault(err)
	}
	return a.endAll(ctx, stored, event)
}

// UserByLogin returns the account with that user name or e-mail address, in any
// spelling of it. [ErrNotFound] if there is none.
func (a *Auth) UserByLogin(ctx context.Context, login string) (User, error) {
	key, err := canonicalLogin(login)
	if err != nil {
		return User{}, ErrNotFound
	}
	u, err := a.users.UserByLogin(ctx, key)
	return u, storeFault(err)
}

// UserByID returns the account with that id, or [ErrNotFound].
func (a *Auth) UserByID(ctx context.Context, id string) (User, error) {
	u, err := a.users.UserByID(ctx, id)
	return u, storeFault(err)
}

// Users returns one page of accounts. It needs a store that is a [UserLister].
func (a *Auth) Users(ctx context.Context, q UserQuery) ([]User, error) {
	l, p, ok := partOf[UserLister](a.cfg.Users)
	if !ok {
		return nil, ErrUnavailable.because(errors.New("this user store can't list"))
	}
	if q.Limit < 0 || q.Limit > 1000 {
		return nil, ErrInvalidInput.saying("A page has 1 to 1,000 accounts.", "limit")
	}
	defaultTo(&q.Limit, 100)
	list, err := ask(ctx, p, 1, func(ctx context.Context) ([]User, error) { return l.ListUsers(ctx, q) })
	return list, storeFault(err)
}

// SetRoles replaces the roles of a user. All sessions end, so that no token
// with the old roles goes on.
func (a *Auth) SetRoles(ctx context.Context, userID string, roles ...string) error {
	if err := checkRoles(roles); err != nil {
		return ErrInvalidInput.saying("A role has a name that is not allowed.", "roles")
	}
	return a.changeUser(ctx, userID, EventRolesChange, func(u *User) {
		u.Roles = slices.Clone(roles)
		u.CredentialVersion++
	})
}

// Disable ends all sessions of a user and refuses further logins.
func (a *Auth) Disable(ctx context.Context, userID string) error {
	return a.changeUser(ctx, userID, EventDisable, func(u *User) {
		u.Disabled = true
		u.CredentialVersion++
	})
}

// Enable lets a disabled user log in again. Sessions from before stay ended.
func (a *Auth) Enable(ctx context.Context, userID string) error {
	return a.changeUser(ctx, userID, EventEnable, func(u *User) {
		u.Disabled = false
		u.CredentialVersion++
	})
}

// DeleteUser removes an account and ends all of its sessions. Its name and
// address are free again; its id is not given to anybody else. Of its events the
// trail keeps that they happened, and forgets whose they were: see
// [Event.Erased]. [ErrNotFound] if it is gone already; what is left of it is
// removed then too, in case an earlier call got no further.
func (a *Auth) DeleteUser(ctx context.Context, userID string) error {
	if err := ctx.Err(); err != nil {
		return ErrUnavailable.because(err)
	}
	ctx = context.WithoutCancel(ctx) // from here on it is done as a whole
	gone := User{ID: userID, CredentialVersion: AllVersions}
	err := a.users.DeleteUser(ctx, userID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return storeFault(err)
	}
	// The account is gone and its owner can't come back to try again: each step
	// is taken, whatever became of the one before.
	endErr := a.endAll(ctx, gone, EventAccountDelete)
	eraseErr := a.eraseTraces(ctx, userID)
	if failed := errors.Join(endErr, eraseErr); failed != nil {
		return storeFault(failed)
	}
	return storeFault(err)
}

// eraseTraces removes what is left of somebody elsewhere. Mailed codes hold a
// keyed hash and expire by themselves.
func (a *Auth) eraseTraces(ctx context.Context, userID string) error {
	return errors.Join(a.unlock(ctx, userID), a.erase(ctx, userID))
}

// DeleteOwnAccount is [Auth.DeleteUser] for the user, after the checks that
// [AccountConfig] asks for. The password may be empty if none is.
// [ErrReauthRequired] asks for one.
func (a *Auth) DeleteOwnAccount(ctx context.Context, userID, password string) error {
	if a.cfg.Accounts.NoSelfDelete {
		return a.refused(ctx, Event{Name: EventAccountDelete, UserID: userID}, ErrForbidden)
	}
	if a.cfg.Accounts.ReauthToDelete {
		err := a.reauthenticate(ctx, userID, password)
		if err != nil && !errors.Is(err, ErrNotFound) { // who is gone has only tokens left to lose
			return a.refused(ctx, Event{Name: EventAccountDelete, UserID: userID}, err)
		}
	}
	return a.DeleteUser(ctx, userID)
}

func (a *Auth) reauthenticate(ctx context.Context, userID, password string) error {
	if password == "" {
		return ErrReauthRequired
	}
	u, err := a.users.UserByID(ctx, userID)
	if err != nil {
		return storeFault(err)
	}
	return a.checkCurrentPassword(ctx, u, u.ID, password)
}

// changeUser applies a change that ends sessions. It starts over when somebody
// else changed the account meanwhile; what change does must not depend on more
// than the account it is given.
func (a *Auth) changeUser(ctx context.Context, userID, event string, change func(*User)) error {
	const tries = 8
	for range tries {
		u, err := a.users.UserByID(ctx, userID)
		if err != nil {
			return storeFault(err)
		}
		change(&u)
		// A client that goes away now does not stop it: the row might be written all
		// the same, and the tokens live on.
		u, err = a.users.UpdateUser(context.WithoutCancel(ctx), u)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return storeFault(err)
		}
		return a.endAll(ctx, u, event)
	}
	return ErrConflict
}

// endAll makes a raised credential version known: first to every verifier, by
// the watermark, then by ending the sessions. A login that read the old version
// a moment before makes tokens that are dead already. The client's going away
// does not stop it half way.
func (a *Auth) endAll(ctx context.Context, u User, event string) error {
	ctx = context.WithoutCancel(ctx)
	err := a.revocations.Revoke(ctx, Revocation{UserID: u.ID, Version: u.CredentialVersion, Expires: a.tokensGone(a.now())})
	if err != nil {
		return storeFault(err)
	}
	if _, err := a.sessions.EndSessions(ctx, u.ID, ""); err != nil {
		return storeFault(err)
	}
	return a.record(ctx, Event{Name: event, UserID: u.ID})
}
