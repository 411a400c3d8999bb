package simplejwtlogin

import (
	"errors"

	"github.com/go-jwtauth/jwtauth"
)

func resetFailures(v Version) failures {
	notYours := &failure{number: 0, message: "This JWT can't change the password of that user."}
	if v == V4 {
		notYours = &failure{number: 93, message: notYours.message}
	}
	return failures{
		jwtauth.ErrForbidden.Code:    notYours,
		jwtauth.ErrInvalidCode.Code:  {number: 62, message: "The code is not valid."},
		jwtauth.ErrWeakPassword.Code: {number: 61},
	}
}

// sendReset answers POST /user/reset_password. The answer is the same for users
// that there are not.
func (c *call) sendReset() (any, error) {
	email, err := c.resetEmail(63, 96)
	if err != nil {
		return nil, err
	}
	err = c.api.auth.ForgotPassword(c.r.Context(), jwtauth.Forgot{Login: email,
		Delivery: jwtauth.DeliveryCode, Deliver: c.api.cfg.DeliverCode})
	if errors.Is(err, jwtauth.ErrForbidden) {
		return nil, c.off.because(err)
	}
	if err != nil {
		return nil, err
	}
	if c.api.cfg.DeliverCode != nil {
		return c.said("The code is on its way."), nil
	}
	return c.said("Reset password email has been sent."), nil
}

// resetEmail reads the address, with the numbers of failures for one that is
// missing and, in V4, for one that is none.
func (c *call) resetEmail(missing, invalid int) (string, error) {
	email := c.in.text("email")
	if email == "" {
		return "", &failure{number: missing, message: "The e-mail address is missing."}
	}
	if c.api.cfg.Version == V4 {
		if _, err := jwtauth.CanonicalEmail(email); err != nil {
			return "", (&failure{number: invalid}).because(err)
		}
	}
	return email, nil
}

// changePassword answers PUT /user/reset_password: by the code that was mailed,
// else by the access token where that is allowed.
func (c *call) changePassword() (any, error) {
	reset, err := c.passwordReset()
	if err != nil {
		return nil, err
	}
	set := c.api.auth.ResetPassword
	if reset.Code == "" {
		set = c.api.auth.ResetPasswordWithToken
	}
	err = set(c.r.Context(), reset)
	if errors.Is(err, jwtauth.ErrForbidden) && reset.Code != "" {
		return nil, c.off.because(err) // a code has no other owner: RecoveryConfig.Off
	}
	if err != nil {
		return nil, err
	}
	c.api.auth.ClearCookies(c.w)
	return c.said("User password has been changed."), nil
}

// passwordReset reads the fields, in the order in which the original misses them.
func (c *call) passwordReset() (r jwtauth.PasswordReset, err error) {
	email, err := c.resetEmail(59, 95)
	f, _ := err.(*failure)
	if f != nil && f.number == 59 {
		return r, err
	}
	r = jwtauth.PasswordReset{Login: email, Password: c.secret("new_password"), Code: c.in.text("code")}
	switch withJWT := c.api.cfg.ResetWithJWT; {
	case r.Password == "":
		return r, &failure{number: 61, message: "The new password is missing."}
	case r.Code == "" && !withJWT:
		return r, &failure{number: 60, message: "The code is missing."}
	case r.Code == "" && c.jwt == "":
		return r, errMissingJWT
	case r.Code == "":
		r.Token = c.jwt
	}
	return r, err
}
