package jwtauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// LockoutConfig bounds wrong passwords, on every path that takes one: for each
// account under all of its spellings, and for each address (IPv6: each /64)
// over all accounts. A try counts before anything is compared; the right
// password takes its own try back.
//
// A device that has logged in before carries a token that says so, and has a
// budget of its own, as has an address with a live session. So a stranger can't
// lock the owner out. Recovery by mail always works, and unlocks.
type LockoutConfig struct {
	// Disabled switches it off.
	Disabled bool
	// Account lists how many wrong passwords an account bears, from all
	// strangers together. All tiers count; the delay grows from one to the
	// next. Default: 5 a minute, 10 in 10 minutes, 20 an hour, 50 a day, 100
	// in a year (NIST SP 800-63B-4 asks for at most 100 in a row).
	Account []LockoutTier
	// Device is the same for a known device or address. Default: 5 a minute,
	// 20 an hour, 50 a day.
	Device []LockoutTier
	// Source is the same for an address over all accounts. Known devices
	// don't count here. Default: 30 in 10 minutes, 200 a day.
	Source []LockoutTier
}

// LockoutTier is a number of failures in a time that begins with the first.
type LockoutTier struct {
	Failures int
	Per      time.Duration
}

const (
	minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	deviceTokenTTL    = 180 * day
	devicePrefix      = "jd1."
	deviceIDBytes     = 16
)

func (cfg LockoutConfig) withDefaults() LockoutConfig {
	fill := func(tiers []LockoutTier, def ...LockoutTier) []LockoutTier {
		if len(tiers) == 0 {
			return def
		}
		return slices.Clone(tiers)
	}
	cfg.Account = fill(cfg.Account, LockoutTier{5, minute}, LockoutTier{10, 10 * minute}, LockoutTier{20, hour}, LockoutTier{50, day}, LockoutTier{100, 365 * day})
	cfg.Device = fill(cfg.Device, LockoutTier{5, minute}, LockoutTier{20, hour}, LockoutTier{50, day})
	cfg.Source = fill(cfg.Source, LockoutTier{30, 10 * minute}, LockoutTier{200, day})
	return cfg
}

func (cfg LockoutConfig) validate() error {
	var errs []error
	for name, tiers := range map[string][]LockoutTier{"Account": cfg.Account, "Device": cfg.Device, "Source": cfg.Source} {
		for i, t := range tiers {
			if t.Failures < 1 || t.Per < time.Second || t.Per > 366*day {
				errs = append(errs, fmt.Errorf("jwtauth: Config.Lockout.%s[%d] must be at least 1 failure in 1 s to 366 days", name, i))
			}
		}
	}
	return errors.Join(errs...)
}

// counted is one budget that a try is counted on.
type counted struct {
	key   string
	tiers []LockoutTier
}

func (c counted) tier(i int) string { return fmt.Sprintf("try:%s:%d", c.key, i) }

// try is a password that is about to be compared.
type try struct {
	auth    *Auth
	budgets []counted
	source  *counted
	// filled says that this try was the last one that the account bears.
	filled bool
}

// countTry counts before a password is compared. [ErrInvalidCredentials] if a
// budget is used up: locked, wrong and unknown are one answer. account is an
// id, or a stand-in for an account that nobody has.
func (a *Auth) countTry(ctx context.Context, account, device string) (t *try, err error) {
	defer func() { a.meter.locked(ctx, err) }()
	t = &try{auth: a}
	if a.cfg.Lockout.Disabled {
		return t, nil
	}
	if device != "" {
		return t, t.count(ctx, counted{"device:" + account + ":" + device, a.cfg.Lockout.Device})
	}
	if source := a.sourceBucket(ctx); source != "" {
		t.source = &counted{"source:" + source, a.cfg.Lockout.Source}
		if err := t.count(ctx, *t.source); err != nil {
			return nil, err
		}
	}
	err = t.count(ctx, counted{accountTries(account), a.cfg.Lockout.Account})
	if !errors.Is(err, ErrInvalidCredentials) {
		return t, err
	}
	known, faultErr := a.knownAddress(ctx, account)
	if faultErr != nil || known == "" {
		return nil, errors.Join(faultErr, t.takeBack(ctx), err)
	}
	return t, t.count(ctx, counted{"device:" + account + ":" + known, a.cfg.Lockout.Device})
}

// sourceBucket is the caller's address as failures count. One host may have
// millions of IPv6 networks, so those share 65,536 buckets: the counters stay
// bounded, and few enough meet that it takes a flood of hashes to lock one.
func (a *Auth) sourceBucket(ctx context.Context) string {
	source := ClientFrom(ctx).Source()
	if strings.Contains(source, ":") {
		return "v6 " + encodeID(a.secrets.current.keyed("source", source)[:2])
	}
	return source
}

func accountTries(account string) string { return "account:" + account }

// count takes one from every tier of a budget, or from none.
func (t *try) count(ctx context.Context, c counted) error {
	now := t.auth.now()
	filled := false
	for i, tier := range c.tiers {
		got, err := t.auth.counters.Hit(ctx, c.tier(i), tier.Failures, tier.Per, now)
		if err == nil && got.Admitted {
			filled = filled || got.N >= tier.Failures
			continue
		}
		for j := range i {
			err = errors.Join(err, t.auth.counters.Refund(ctx, c.tier(j), now))
		}
		if err != nil {
			return storeFault(err)
		}
		return ErrInvalidCredentials.because(reason(ReasonLocked))
	}
	t.budgets = append(t.budgets, c)
	t.filled = t.filled || filled && strings.HasPrefix(c.key, accountTries(""))
	return nil
}

// takeBack undoes a try that was never compared, or was right.
func (t *try) takeBack(ctx context.Context) error {
	var errs []error
	for _, c := range t.budgets {
		for i := range c.tiers {
			errs = append(errs, t.auth.counters.Refund(ctx, c.tier(i), t.auth.now()))
		}
	}
	return storeFault(errors.Join(errs...))
}

// failed records a lock that this try has brought about. u is the zero User for
// a name that nobody has: its tries cost, and leave, as much as those of all
// others.
func (t *try) failed(ctx context.Context, u User) error {
	if !t.filled {
		return nil
	}
	t.auth.locks.note(Lock{UserID: u.ID, Since: recordTime(t.auth.now()), Address: addressOf(ctx)})
	return t.auth.record(ctx, Event{Name: EventLock, UserID: u.ID})
}

// succeeded takes the try back, and forgets what its source did before: only
// there does the right password prove anything.
func (t *try) succeeded(ctx context.Context) error {
	err := t.takeBack(ctx)
	if t.source != nil {
		err = errors.Join(err, t.auth.forget(ctx, *t.source))
	}
	return err
}

func (a *Auth) forget(ctx context.Context, c counted) error {
	var errs []error
	for i := range c.tiers {
		errs = append(errs, a.counters.Reset(ctx, c.tier(i)))
	}
	return storeFault(errors.Join(errs...))
}

// knownAddress returns a key for the caller's address if the account has a live
// session from there.
func (a *Auth) knownAddress(ctx context.Context, account string) (string, error) {
	source := ClientFrom(ctx).Source()
	if source == "" {
		return "", nil
	}
	list, err := a.Sessions(ctx, account)
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if sourceOf(s.Address) == source {
			// Hashed: the counter may outlive the account.
			return "address " + encodeID(a.secrets.current.keyed("known address", source)[:16]), nil
		}
	}
	return "", nil
}

// Unlock forgets the wrong passwords that were counted on an account.
func (a *Auth) Unlock(ctx context.Context, userID string) error {
	if err := a.unlock(ctx, userID); err != nil {
		return err
	}
	return a.record(ctx, Event{Name: EventUnlock, UserID: userID})
}

func (a *Auth) unlock(ctx context.Context, userID string) error {
	a.locks.forget(userID)
	return a.forget(ctx, counted{accountTries(userID), a.cfg.Lockout.Account})
}

// A device token proves that a device has logged in to one account before: a
// prefix, then base64url of
//
//	id (16) ‖ expiry (8, Unix seconds, big endian) ‖ MAC (32)
//
// with a MAC over the account as well. It gives its bearer a budget for wrong
// passwords and nothing else.

// deviceToken makes one for a user.
func (a *Auth) deviceToken(userID string, now time.Time) string {
	b := make([]byte, deviceIDBytes, deviceIDBytes+8+32)
	rand.Read(b) // never fails: the program ends instead (crypto/rand)
	b = binary.BigEndian.AppendUint64(b, uint64(now.Add(deviceTokenTTL).Unix()))
	return devicePrefix + encodeID(append(b, a.secrets.current.deviceMAC(userID, b)...))
}

func (k secretKeys) deviceMAC(userID string, body []byte) []byte {
	return k.keyed("device", userID, string(body))
}

// knownDevice returns the id of the device that the caller proves to have used
// with this account; "" otherwise.
func (a *Auth) knownDevice(ctx context.Context, userID string) string {
	text, ok := strings.CutPrefix(string(ClientFrom(ctx).DeviceToken), devicePrefix)
	if !ok || len(text) > 128 {
		return ""
	}
	b, err := strictBase64.DecodeString(text)
	const body = deviceIDBytes + 8
	if err != nil || len(b) != body+32 || encodeID(b) != text {
		return ""
	}
	if int64(binary.BigEndian.Uint64(b[deviceIDBytes:])) <= a.now().Unix() {
		return ""
	}
	for _, k := range a.secrets.byID {
		if hmac.Equal(b[body:], k.deviceMAC(userID, b[:body])) {
			return encodeID(b[:deviceIDBytes])
		}
	}
	return ""
}
