// Package leak has the steps of docs/guides/after-a-leak.md, to copy into a program
// for operators.
package leak

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/go-jwtauth/jwtauth"
)

// ReplaceKey makes a new key sign and refuses what the leaked one signed, at once.
func ReplaceKey(keys *jwtauth.KeySet, leaked, alg string) error {
	next, err := jwtauth.GenerateKey(alg)
	if err != nil {
		return err
	}
	if err := keys.Rotate(next); err != nil {
		return err
	}
	return keys.Retire(leaked)
}

// EndAllSessions logs everybody out, on every device, and returns how many accounts
// there were.
func EndAllSessions(ctx context.Context, auth *jwtauth.Auth) (accounts int, err error) {
	page := jwtauth.UserQuery{Limit: 1000}
	for {
		users, err := auth.Users(ctx, page)
		if err != nil || len(users) == 0 {
			return accounts, err
		}
		for _, u := range users {
			if err := auth.RevokeUser(ctx, u.ID); err != nil && !errors.Is(err, jwtauth.ErrNotFound) {
				return accounts, err
			}
			accounts++
		}
		page.After = users[len(users)-1].ID
	}
}

// TakeBack gives an account a password that nobody knows. All of its sessions end;
// the owner then chooses a new one by "forgot password".
func TakeBack(ctx context.Context, auth *jwtauth.Auth, userID string) error {
	u, err := auth.UserByID(ctx, userID)
	if err != nil {
		return err
	}
	codes := make(chan string, 1)
	err = auth.ForgotPassword(ctx, jwtauth.Forgot{Login: u.Login, Delivery: jwtauth.DeliveryCode,
		Deliver: func(_ context.Context, _ jwtauth.User, code string) { codes <- code }})
	if err != nil {
		return err
	}
	select {
	case code := <-codes:
		return auth.ResetPassword(ctx, jwtauth.PasswordReset{Login: u.Login, Code: code, Password: rand.Text()})
	case <-ctx.Done(): // no code for a disabled account, and none past five an hour
		return context.Cause(ctx)
	}
}
