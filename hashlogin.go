package jwtauth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
)

// DangerouslyLoginWithHash is [Auth.Login] for callers that hold the stored hash
// instead of the password: c.Password is compared with it, character by
// character and in constant time. Whoever has read the user table is then
// whoever they like, so it never works for an account that has more roles than
// a new one gets, nor for a hash that no password would fit. Wrong hashes count
// as wrong passwords do, and get the same answer.
//
// It serves systems that have nothing but the hash. All others use [Auth.Login],
// or [Auth.Issue] for users whom the host has signed in itself.
func (a *Auth) DangerouslyLoginWithHash(ctx context.Context, c Credentials) (g *Grant, err error) {
	defer a.meter.login(ctx, EventLogin).end(&err)
	u, err := a.authenticateHash(ctx, c)
	if err != nil {
		return nil, a.refused(ctx, Event{Name: EventLogin, UserID: u.ID}, err)
	}
	return a.openSession(ctx, EventLogin, u)
}

func (a *Auth) authenticateHash(ctx context.Context, c Credentials) (User, error) {
	u, account, err := a.claimed(ctx, c)
	if err != nil {
		return User{}, err
	}
	t, err := a.countTry(ctx, account, a.knownDevice(ctx, account))
	if err != nil {
		return u, err
	}
	if !a.holdsHash(u, c.Password) {
		return u, cmp.Or(t.failed(context.WithoutCancel(ctx), u), error(ErrInvalidCredentials))
	}
	if err := t.succeeded(context.WithoutCancel(ctx)); err != nil {
		return u, err
	}
	return u, a.mayLogIn(u)
}

// holdsHash compares digests, so that the duration tells nothing about length
// or content, and looks at the account only once they are equal.
func (a *Auth) holdsHash(u User, hash string) bool {
	given, own := sha256.Sum256([]byte(hash)), sha256.Sum256([]byte(u.PasswordHash))
	if !hmac.Equal(given[:], own[:]) || a.privileged(u) {
		return false
	}
	_, usable := a.cfg.Passwords.parseHash(hash)
	return usable
}
