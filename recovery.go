package jwtauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// RecoveryConfig is about forgotten passwords.
type RecoveryConfig struct {
	// URL is the page of the front end where a new password is chosen. Links
	// in mails are made from it, by adding the parameters login and token,
	// and never from anything in a request. Empty: codes only.
	URL string
	// LinkTTL is how long a link is accepted. Default 1 h, at most 24 h.
	LinkTTL time.Duration
	// RecentLogin is how long after a login its access tokens can set a new
	// password, by [Auth.ResetPasswordWithToken]. Default 15 min, at most 24 h.
	RecentLogin time.Duration
	// Off refuses ForgotPassword and ResetPassword.
	Off bool
}

// VerificationConfig is about confirming e-mail addresses.
type VerificationConfig struct {
	// Required refuses logins until the address is confirmed. A new account
	// then gets no tokens but a mail.
	Required bool
	// URL is the page of the front end that takes the link, as
	// [RecoveryConfig.URL]. Empty: codes only.
	URL string
	// TTL is how long the mail is accepted. Default 24 h, at most 7 days.
	TTL time.Duration
}

// A one-time code of 6 digits can be guessed; what keeps it safe is how often
// one may try. See docs/threat-model.md for the sum.
const (
	codeDigits      = 6
	codeTTL         = 10 * time.Minute
	codeAttempts    = 5
	codeTriesPerDay = 30
	// A link can't be guessed, and guessing must not use it up.
	linkAttempts = 1 << 30
	linkBytes    = 32
	// mailsPerHour bounds what a stranger can send to one person.
	mailsPerHour = 5
)

// The purposes of one-time secrets: one made for the first is nothing to the second.
const (
	purposeReset  = "reset"
	purposeVerify = "verify"
)

func (cfg Config) validateRecovery() error {
	errs := []error{
		within("Recovery.LinkTTL", cfg.Recovery.LinkTTL, time.Minute, 24*time.Hour),
		within("Recovery.RecentLogin", cfg.Recovery.RecentLogin, time.Minute, 24*time.Hour),
		within("Verification.TTL", cfg.Verification.TTL, codeTTL, 7*24*time.Hour),
	}
	if u := cfg.Recovery.URL; u != "" {
		errs = append(errs, checkPage("Recovery.URL", u, cfg.InsecureAllowHTTP))
	}
	if u := cfg.Verification.URL; u != "" {
		errs = append(errs, checkPage("Verification.URL", u, cfg.InsecureAllowHTTP))
	}
	return errors.Join(errs...)
}

// Delivery is how a person gets the secret that resets a password.
type Delivery string

// The deliveries. The zero value is a link where [RecoveryConfig.URL] is set,
// else a code.
const (
	DeliveryLink Delivery = "link"
	DeliveryCode Delivery = "otp"
)

// Forgot is a request for a new password.
type Forgot struct {
	// Login is a user name or an e-mail address.
	Login string
	// Delivery is a link or a code.
	Delivery Delivery
	// Deliver takes a code to the user instead of the mail, by text message
	// for example. It is called for accounts that exist, after the answer is
	// on its way, and has 5 s. The HTTP API never sets it.
	Deliver func(ctx context.Context, u User, code string)
}

// ForgotPassword mails a link or a code with which [Auth.ResetPassword] sets a
// new password; older ones die. It says nothing about whether the account
// exists, neither by its answer nor by its duration: an unknown one takes the
// same steps, with an account that nobody has. Past a few mails an hour the
// answer stays the same and nothing is sent.
func (a *Auth) ForgotPassword(ctx context.Context, f Forgot) error {
	delivery, err := a.delivery(f)
	if err != nil {
		return err
	}
	u, known, err := a.accountOrDecoy(ctx, f.Login)
	if err != nil {
		return err
	}
	secret, err := a.issueCode(ctx, purposeReset, u, delivery == DeliveryCode, a.cfg.Recovery.LinkTTL)
	if err != nil {
		return err
	}
	e := Event{Name: EventForgot, UserID: u.ID}
	if !known {
		e = Event{Name: EventForgot, Result: ResultRefused, Reason: ErrNotFound.Code}
	}
	if known && secret.text != "" {
		a.deliver(ctx, f, delivery, u, secret)
	}
	return a.record(ctx, e)
}

// deliver sends a secret on its way and does not wait for it: how long that
// takes must not show in the answer.
func (a *Auth) deliver(ctx context.Context, f Forgot, delivery Delivery, u User, secret oneTimeSecret) {
	switch {
	case f.Deliver != nil:
		go a.deliverBy(context.WithoutCancel(ctx), f.Deliver, u, secret.text)
	case delivery == DeliveryCode:
		a.mail(ctx, MailResetCode, u, MailData{Code: secret.text, Minutes: secret.minutes()})
	default:
		a.mail(ctx, MailResetLink, u, MailData{Link: secret.link(a.cfg.Recovery.URL, u), Minutes: secret.minutes()})
	}
}

func (a *Auth) deliverBy(ctx context.Context, deliver func(context.Context, User, string), u User, code string) {
	err := contained(ctx, gateTimeout, func(ctx context.Context) { deliver(ctx, forHooks(u), code) })
	if err != nil {
		a.log.ErrorContext(ctx, "code not delivered", "user", u.ID, "error", err)
	}
}

func (a *Auth) delivery(f Forgot) (Delivery, error) {
	switch {
	case a.cfg.Recovery.Off:
		return "", ErrForbidden
	case f.Login == "":
		return "", ErrMissingFields.saying("A user name or an e-mail address is required.", "login")
	case f.Delivery == "" && a.cfg.Recovery.URL == "", f.Deliver != nil:
		return DeliveryCode, nil
	case f.Delivery == "":
		return DeliveryLink, nil
	case f.Delivery == DeliveryCode, f.Delivery == DeliveryLink && a.cfg.Recovery.URL != "":
		return f.Delivery, nil
	}
	return "", ErrInvalidInput.saying("The delivery must be link or otp.", "delivery")
}

// accountOrDecoy returns the account, or one that nobody has: its id can't be
// that of a real one, and everything done for it is as much work and leads
// nowhere.
func (a *Auth) accountOrDecoy(ctx context.Context, login string) (u User, known bool, err error) {
	key, err := canonicalLogin(login)
	if err != nil {
		key = login
	} else if u, err = a.users.UserByLogin(ctx, key); err == nil {
		return u, !u.Disabled, nil
	} else if !errors.Is(err, ErrNotFound) {
		return User{}, false, storeFault(err)
	}
	return User{ID: a.decoyID(key), CredentialVersion: 1}, false, nil
}

// decoyID is the id of an account that nobody has, the same for each spelling
// of a name. There are 65,536 of them: however many names a stranger invents,
// what is kept for them is bounded, and two that share one are not known to.
func (a *Auth) decoyID(login string) string {
	if key, err := canonicalLogin(login); err == nil {
		login = key
	}
	return "?" + encodeID(a.secrets.current.keyed("decoy", login)[:2])
}

// oneTimeSecret is what goes into a mail. Its text is empty where the hourly
// number of mails is used up.
type oneTimeSecret struct {
	text string
	ttl  time.Duration
}

func (s oneTimeSecret) minutes() int { return int(s.ttl / time.Minute) }

// link adds the parameters to a configured page.
func (s oneTimeSecret) link(page string, u User) string {
	sep := "?"
	if strings.Contains(page, "?") {
		sep = "&"
	}
	return page + sep + url.Values{"login": {u.Email}, "token": {s.text}}.Encode()
}

// issueCode makes a secret and stores its hash in place of any older one.
func (a *Auth) issueCode(ctx context.Context, purpose string, u User, short bool, ttl time.Duration) (oneTimeSecret, error) {
	now := a.now()
	count, err := a.counters.Hit(ctx, "mail:"+purpose+":"+u.ID, mailsPerHour, time.Hour, now)
	if err != nil {
		return oneTimeSecret{}, storeFault(err)
	}
	if !count.Admitted {
		return oneTimeSecret{}, nil
	}
	text, attempts := newLinkToken(), linkAttempts
	if short {
		text, attempts, ttl = newDigits(), codeAttempts, codeTTL
	}
	err = a.codes.PutCode(ctx, OneTimeCode{Key: codeKey(purpose, u.ID), Hash: a.hashCode(a.secrets.current, purpose, u, text),
		Version: u.CredentialVersion, Attempts: attempts, Expires: now.Add(ttl)})
	if err != nil {
		return oneTimeSecret{}, storeFault(err)
	}
	return oneTimeSecret{text: text, ttl: ttl}, nil
}

func codeKey(purpose, userID string) string { return purpose + ":" + userID }

func newLinkToken() string {
	b := make([]byte, linkBytes)
	rand.Read(b) // never fails: the program ends instead (crypto/rand)
	return encodeID(b)
}

func newDigits() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil { // never: see above
		panic("jwtauth: " + err.Error())
	}
	return fmt.Sprintf("%0*d", codeDigits, n)
}

// hashCode binds a secret to its purpose, its user and the address that it was
// sent to. The key makes the hash of six digits useless to whoever reads the
// store.
func (a *Auth) hashCode(k secretKeys, purpose string, u User, text string) []byte {
	return k.keyed(purpose, u.ID, u.EmailKey, text)
}

// keyed is an HMAC over fields that can't run into each other.
func (k secretKeys) keyed(fields ...string) []byte {
	m := hmac.New(sha256.New, k.codes)
	writeFields(m, fields...)
	return m.Sum(nil)
}

// writeFields puts each field behind its length in 4 bytes, big endian, so that no
// two lists of fields hash alike.
func writeFields[T string | []byte](h hash.Hash, fields ...T) {
	for _, f := range fields {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f))))
		h.Write([]byte(f))
	}
}

// PasswordReset sets a new password with what ForgotPassword has mailed.
type PasswordReset struct {
	// Login is a user name or an e-mail address.
	Login string
	// Password is the new password.
	Password string
	// Token is from a link, Code from a mail with six digits: exactly one.
	Token, Code string
}

// String hides everything.
func (PasswordReset) String() string { return redacted }

// GoString hides everything.
func (PasswordReset) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (x PasswordReset) MarshalText() ([]byte, error) { return hidden(x) }

// ResetPassword sets a new password. [ErrInvalidCode] is the answer to a wrong,
// used, expired or replaced secret and to an unknown account. A password that
// is too weak is refused without using the secret up. Afterwards every session
// is over, the account is unlocked, the owner is told by mail, and nobody is
// logged in.
func (a *Auth) ResetPassword(ctx context.Context, r PasswordReset) error {
	if err := a.checkReset(ctx, r); err != nil {
		return err
	}
	u, known, err := a.accountOrDecoy(ctx, r.Login)
	if err != nil {
		return err
	}
	code, err := a.consumeCode(ctx, purposeReset, u, r.Token, r.Code)
	if err != nil || !known {
		return a.refused(ctx, Event{Name: EventReset, UserID: realID(u, known)}, orInvalidCode(err))
	}
	if err := a.setResetPassword(ctx, u, r.Password); err != nil {
		// Nothing was changed, so the secret is good for another try.
		err = errors.Join(err, storeFault(a.codes.PutCode(context.WithoutCancel(ctx), code)))
		return a.refused(ctx, Event{Name: EventReset, UserID: u.ID}, err)
	}
	a.mail(ctx, MailPasswordChanged, u, MailData{})
	if err := a.unlock(ctx, u.ID); err != nil { // the password is set all the same
		a.log.WarnContext(ctx, "account not unlocked after a reset", "user", u.ID, "error", err)
	}
	return nil
}

// checkReset looks at what can be said without an account: whether a password
// resembles its owner's name is told only to who has the secret.
func (a *Auth) checkReset(ctx context.Context, r PasswordReset) error {
	switch {
	case a.cfg.Recovery.Off:
		return ErrForbidden
	case r.Login == "" || r.Password == "" || r.Token == "" && r.Code == "":
		return ErrMissingFields.saying("The user name, the new password and the token or code are required.", "login", "password", "token")
	case r.Token != "" && r.Code != "":
		return ErrInvalidInput.saying("Give the token or the code, not both.", "token", "code")
	}
	return a.checkNewPassword(ctx, r.Password, User{})
}

// ResetPasswordWithToken sets a new password for the account that r.Token, an
// access token, was issued to, without the current one. r.Login must name that
// account, else it is [ErrForbidden]. A login that is longer ago than
// [RecoveryConfig.RecentLogin] is [ErrReauthRequired], however often its tokens
// were refreshed. Every session is over afterwards.
//
// Whoever finds a token then has the account: offer it only where clients can
// do no better, and [Auth.ChangePassword] everywhere else.
func (a *Auth) ResetPasswordWithToken(ctx context.Context, r PasswordReset) error {
	switch {
	case a.cfg.Recovery.Off:
		return ErrForbidden
	case r.Login == "" || r.Password == "" || r.Token == "":
		return ErrMissingFields.saying("The user name, the new password and the token are required.", "login", "password", "token")
	}
	u, err := a.recentOwner(ctx, r.Token)
	if err == nil && !u.answersTo(r.Login) {
		err = ErrForbidden
	}
	if err == nil {
		err = a.checkNewPassword(ctx, r.Password, u)
	}
	if err == nil {
		err = a.replacePassword(ctx, u, r.Password, EventPasswordChange)
	}
	if err != nil {
		return a.refused(ctx, Event{Name: EventPasswordChange, UserID: u.ID}, err)
	}
	a.mail(ctx, MailPasswordChanged, u, MailData{})
	return nil
}

// recentOwner returns the account of a valid access token whose login was a
// short while ago. The row is compared with the token once more, since it is the
// row that will be changed.
func (a *Auth) recentOwner(ctx context.Context, token string) (User, error) {
	id, err := a.Verify(ctx, token)
	if err != nil {
		return User{}, err
	}
	s, err := a.sessions.Session(ctx, id.SessionID)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{ID: id.UserID}, invalidToken(ReasonRevoked)
	case err != nil:
		return User{ID: id.UserID}, storeFault(err)
	case a.now().Sub(s.Created) > a.cfg.Recovery.RecentLogin:
		return User{ID: id.UserID}, ErrReauthRequired
	}
	u, err := a.users.UserByID(ctx, id.UserID)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, invalidToken(ReasonRevoked)
	case err != nil:
		return User{}, storeFault(err)
	case u.Disabled || u.CredentialVersion != id.Claims.Version:
		return u, invalidToken(ReasonRevoked)
	}
	return u, nil
}

// answersTo reports whether login, in any spelling, is the name or the address
// of u.
func (u User) answersTo(login string) bool {
	key, err := canonicalLogin(login)
	return err == nil && (key == u.LoginKey || key == u.EmailKey)
}

func (a *Auth) setResetPassword(ctx context.Context, u User, password string) error {
	if err := a.checkNewPassword(ctx, password, u); err != nil {
		return err
	}
	u.EmailVerified = true // the secret was sent to that address and came back
	return a.replacePassword(ctx, u, password, EventReset)
}

// consumeCode uses a secret up. Tries at a short one count on the account
// before anything is compared, across all codes that it ever gets.
func (a *Auth) consumeCode(ctx context.Context, purpose string, u User, token, digits string) (OneTimeCode, error) {
	now := a.now()
	if digits != "" {
		if !validDigits(digits) {
			return OneTimeCode{}, ErrInvalidCode
		}
		count, err := a.counters.Hit(ctx, "code:"+purpose+":"+u.ID, codeTriesPerDay, 24*time.Hour, now)
		if err != nil {
			return OneTimeCode{}, storeFault(err)
		}
		if !count.Admitted {
			return OneTimeCode{}, ErrInvalidCode
		}
	}
	code, err := a.consumeHash(ctx, purpose, u, token+digits, now)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict):
		return OneTimeCode{}, ErrInvalidCode
	case err != nil:
		return OneTimeCode{}, storeFault(err)
	case code.Version != u.CredentialVersion:
		return OneTimeCode{}, ErrInvalidCode
	}
	return code, nil
}

// consumeHash compares under the current secret, and while it takes over from
// older ones under those too: the mail may have been sent before. Each
// comparison is an attempt, so a short code bears fewer tries meanwhile.
func (a *Auth) consumeHash(ctx context.Context, purpose string, u User, text string, now time.Time) (OneTimeCode, error) {
	key := codeKey(purpose, u.ID)
	code, err := a.codes.ConsumeCode(ctx, key, a.hashCode(a.secrets.current, purpose, u, text), now)
	for _, old := range a.secrets.old {
		if !errors.Is(err, ErrConflict) {
			break
		}
		code, err = a.codes.ConsumeCode(ctx, key, a.hashCode(old, purpose, u, text), now)
	}
	return code, err
}

// validDigits accepts exactly six ASCII digits; leading zeros count.
func validDigits(s string) bool {
	return len(s) == codeDigits && strings.Trim(s, "0123456789") == ""
}

func orInvalidCode(err error) error {
	if err == nil {
		return ErrInvalidCode
	}
	return err
}

func realID(u User, known bool) string {
	if !known {
		return ""
	}
	return u.ID
}

// sendVerification mails what confirms an address.
func (a *Auth) sendVerification(ctx context.Context, u User) error {
	secret, err := a.issueCode(ctx, purposeVerify, u, a.cfg.Verification.URL == "", a.cfg.Verification.TTL)
	if err != nil || secret.text == "" {
		return err
	}
	data := MailData{Minutes: secret.minutes()}
	if a.cfg.Verification.URL == "" {
		data.Code = secret.text
	} else {
		data.Link = secret.link(a.cfg.Verification.URL, u)
	}
	a.mail(ctx, MailVerify, u, data)
	return nil
}

// EmailVerification confirms an address with what was mailed to it.
type EmailVerification struct {
	// Login is a user name or an e-mail address.
	Login string
	// Token is from a link, Code from a mail with six digits: exactly one.
	Token, Code string
}

// String hides everything.
func (EmailVerification) String() string { return redacted }

// GoString hides everything.
func (EmailVerification) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (x EmailVerification) MarshalText() ([]byte, error) { return hidden(x) }

// VerifyEmail confirms the address of an account. [ErrInvalidCode] for anything
// but the secret of the latest mail.
func (a *Auth) VerifyEmail(ctx context.Context, v EmailVerification) error {
	if v.Login == "" || (v.Token == "") == (v.Code == "") {
		return ErrMissingFields.saying("The user name and either the token or the code are required.", "login", "token")
	}
	u, known, err := a.accountOrDecoy(ctx, v.Login)
	if err != nil {
		return err
	}
	code, err := a.consumeCode(ctx, purposeVerify, u, v.Token, v.Code)
	if err != nil || !known {
		return a.refused(ctx, Event{Name: EventVerifyEmail, UserID: realID(u, known)}, orInvalidCode(err))
	}
	u.EmailVerified = true
	if _, err := a.users.UpdateUser(ctx, u); err != nil {
		err = errors.Join(storeFault(err), storeFault(a.codes.PutCode(context.WithoutCancel(ctx), code)))
		return a.refused(ctx, Event{Name: EventVerifyEmail, UserID: u.ID}, err)
	}
	return a.record(ctx, Event{Name: EventVerifyEmail, UserID: u.ID})
}

// ResendVerification mails a new secret; the older one dies. Its answer is the
// same for unknown accounts and for those that are verified already.
func (a *Auth) ResendVerification(ctx context.Context, login string) error {
	if login == "" {
		return ErrMissingFields.saying("A user name or an e-mail address is required.", "login")
	}
	u, known, err := a.accountOrDecoy(ctx, login)
	if err != nil {
		return err
	}
	if !known || u.EmailVerified {
		u.Email = "" // the same steps, and no mail
	}
	if err := a.sendVerification(ctx, u); err != nil {
		return err
	}
	return a.record(ctx, Event{Name: EventVerifyResend, UserID: realID(u, known)})
}
