package jwtauth

import (
	"embed"
	"html/template"
	"net/http"
	"strings"
)

// recoveryEndpoints are the routes around a forgotten password and an address.
func (a *Auth) recoveryEndpoints() []endpoint {
	return []endpoint{
		{"forgot-password", "POST", "/forgot-password", LimitForgot, EventForgot, (*call).forgot},
		{"reset-password", "POST", "/reset-password", LimitReset, EventReset, (*call).reset},
		{"verify-email", "POST", "/verify-email", LimitVerifyEmail, EventVerifyEmail, (*call).verifyEmail},
		{"resend-verification", "POST", "/verify-email/resend", LimitResend, EventVerifyResend, (*call).resendVerification},
		{"sso-exchange", "POST", "/sso/exchange", LimitSSO, EventSSO, (*call).ssoExchange},
	}
}

// autoLoginEndpoints exist where cookies are on: without them there would be
// nothing to log a browser in with.
func (a *Auth) autoLoginEndpoints() []endpoint {
	if !a.cfg.Cookies.Enabled {
		return nil
	}
	return []endpoint{
		{"autologin", "GET", "/autologin", LimitAutoLogin, EventAutoLogin, (*call).autoLoginPage},
		{confirmName, "POST", "/autologin", LimitAutoLogin, EventAutoLogin, (*call).autoLogin},
	}
}

func (c *call) forgot() (any, error) {
	f := Forgot{Login: c.in.text("login", "email", "username", "user_login"), Delivery: Delivery(c.in.text("delivery"))}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.ForgotPassword(c.r.Context(), f); err != nil {
		return nil, err
	}
	return messageBody{"Password reset email sent."}, nil
}

func (c *call) reset() (any, error) {
	reset := PasswordReset{Login: c.in.text("login", "email", "username", "user_login"),
		Password: c.in.text("password", "new_password"), Token: c.in.text("token"), Code: c.in.text("code", "otp")}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.ResetPassword(c.r.Context(), reset); err != nil {
		return nil, err
	}
	c.auth.ClearCookies(c.w)
	return messageBody{"Password updated successfully."}, nil
}

func (c *call) verifyEmail() (any, error) {
	v := EmailVerification{Login: c.in.text("login", "email", "username", "user_login"),
		Token: c.in.text("token"), Code: c.in.text("code", "otp")}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.VerifyEmail(c.r.Context(), v); err != nil {
		return nil, err
	}
	return messageBody{"E-mail address confirmed."}, nil
}

func (c *call) resendVerification() (any, error) {
	login := c.in.text("login", "email", "username", "user_login")
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if err := c.auth.ResendVerification(c.r.Context(), login); err != nil {
		return nil, err
	}
	return messageBody{"Verification email sent."}, nil
}

// ssoExchange takes the three fields from the body, or all of them from
// headers, never some from each.
func (c *call) ssoExchange() (any, error) {
	x := Exchange{SiteKey: c.in.text("site_key"), Token: c.in.text("token"), Signature: c.in.text("signature")}
	if err := c.in.err(); err != nil {
		return nil, err
	}
	h := c.r.Header
	if h.Get("X-SSO-Site-Key") != "" || h.Get("X-SSO-Signature") != "" {
		if x != (Exchange{}) || len(h.Values("X-SSO-Site-Key")) > 1 || len(h.Values("X-SSO-Signature")) > 1 {
			return nil, ErrInvalidInput.saying("Give the exchange in the headers or in the body, not in both.", "site_key", "token", "signature")
		}
		token, err := bearer(h)
		if err != nil {
			return nil, err
		}
		x = Exchange{SiteKey: h.Get("X-SSO-Site-Key"), Token: token, Signature: h.Get("X-SSO-Signature")}
	}
	g, err := c.auth.ExchangeSSO(c.r.Context(), x)
	return c.granted(g, err)
}

//go:embed autologin.html
var autoLoginFiles embed.FS

var autoLoginTemplate = template.Must(template.ParseFS(autoLoginFiles, "autologin.html"))

// AutoLoginPage is the question that stands before an auto-login.
type AutoLoginPage struct {
	// Token and Target are what the link brought, posted back as JWT and
	// redirectUrl.
	Token, Target string
	// Action is where the form is posted to; empty is the address of the page
	// itself.
	Action string
}

// String hides the token.
func (AutoLoginPage) String() string { return redacted }

// GoString hides the token.
func (AutoLoginPage) GoString() string { return redacted }

// MarshalText is String, for encoding/json, log/slog and others.
func (p AutoLoginPage) MarshalText() ([]byte, error) { return hidden(p) }

// ConfirmAutoLogin asks the person in front of the browser before anything
// happens: a link alone must not log them in, and neither must a mail scanner
// or a preview that follows it. It checks the token without using it up. asked
// is false, and nothing is written, if it is wrong, or if r is a GET and
// [AutoLoginConfig.DangerouslySkipConfirmation] is set: the caller then goes on
// with [Auth.AutoLogin], as it does when the form comes back.
//
// [Auth.Handler] does all of this; handlers of other protocols call it.
func (a *Auth) ConfirmAutoLogin(w http.ResponseWriter, r *http.Request, page AutoLoginPage) (asked bool, err error) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if a.cfg.AutoLogin.DangerouslySkipConfirmation && r.Method == http.MethodGet {
		return false, nil
	}
	if err := a.CheckAutoLogin(r.Context(), page.Token); err != nil {
		return false, err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// form-action also covers where the answer to the form redirects to.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action "+
		strings.Join(append([]string{"'self'"}, a.cfg.AutoLogin.origins...), " "))
	return true, autoLoginTemplate.Execute(w, map[string]string{"Site": a.cfg.Mail.Site, "Token": page.Token,
		"Target": page.Target, "Action": page.Action})
}

func (c *call) autoLoginPage() (any, error) {
	token, target, err := c.autoLoginQuery()
	if err != nil {
		return nil, err
	}
	// The question mark drops the query, and the token with it.
	asked, err := c.auth.ConfirmAutoLogin(c.w, c.r, AutoLoginPage{Token: token, Target: target, Action: "?"})
	c.answered = asked
	if err != nil || asked {
		return nil, err
	}
	return c.finishAutoLogin(token, target, http.StatusFound)
}

// autoLoginQuery reads the parameters of the link.
func (c *call) autoLoginQuery() (token, target string, err error) {
	q := c.r.URL.Query()
	for name, values := range q {
		if strings.EqualFold(name, "jwt") {
			if token != "" || len(values) != 1 {
				return "", "", ErrInvalidInput.saying("There must be one JWT.", "JWT")
			}
			token = values[0]
		}
	}
	if token == "" {
		return "", "", ErrMissingToken
	}
	return token, q.Get("redirectUrl"), nil
}

// autoLogin takes what the page posts back.
func (c *call) autoLogin() (any, error) {
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	token, target := c.in.text("JWT", "jwt"), c.in.text("redirectUrl")
	if err := c.in.err(); err != nil {
		return nil, err
	}
	if token == "" {
		return nil, ErrMissingToken
	}
	return c.finishAutoLogin(token, target, http.StatusSeeOther)
}

func (c *call) finishAutoLogin(token, target string, status int) (any, error) {
	g, location, err := c.auth.AutoLogin(c.r.Context(), token, target)
	if err != nil {
		return nil, err
	}
	c.auth.setCookies(c.w, g)
	if location == "" {
		return messageBody{"User was logged in."}, nil
	}
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.Header().Set("Location", location)
	c.w.WriteHeader(status)
	return nil, nil
}
