package simplejwtlogin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

// loginFailures: an unknown user, a wrong password and a locked account are one.
var loginFailures = failures{jwtauth.ErrInvalidCredentials.Code: errCredentials}

type (
	grantBody struct {
		Success bool      `json:"success"`
		Data    grantData `json:"data"`
	}
	grantData struct {
		JWT     string `json:"jwt"`
		Refresh string `json:"refresh_token,omitempty"`
	}
)

// authenticate answers POST /auth.
func (c *call) authenticate() (any, error) {
	cred, byHash, err := c.credentials()
	if err != nil {
		return nil, err
	}
	ctx, err := c.withCallerClaims(c.in.object("payload"))
	if err != nil {
		return nil, err
	}
	login := c.api.auth.Login
	if byHash {
		login = c.api.auth.DangerouslyLoginWithHash
	}
	g, err := login(ctx, cred)
	if err != nil {
		return nil, err
	}
	if !c.api.cfg.RefreshTokens {
		g.RefreshToken = ""
	}
	return grantBody{true, grantData{g.AccessToken, g.RefreshToken}}, nil
}

// credentials reads who logs in. Of several identifiers the first counts, as in
// the original: username, email, login.
func (c *call) credentials() (cred jwtauth.Credentials, byHash bool, err error) {
	switch username, email, login := c.in.text("username"), c.in.text("email"), c.in.text("login"); {
	case username != "":
		cred.Username = username
	case email != "":
		cred.Email = email
	case login != "":
		cred.Login = login
	default:
		return cred, false, &failure{number: 46, message: "The e-mail address or the user name is missing."}
	}
	if cred.Password = c.secret("password"); cred.Password != "" {
		return cred, false, nil
	}
	if cred.Password = c.secret("password_hash"); cred.Password == "" {
		return cred, false, errNoPassword
	}
	if !c.api.cfg.DangerouslyAcceptPasswordHash {
		return cred, false, &failure{number: 113, message: "Logging in with password_hash is not offered here."}
	}
	return cred, true, nil
}

// secret returns a password, out of its base64 where that is configured. What is
// none stays as it is, and fits nothing.
func (c *call) secret(name string) string {
	text := c.in.text(name)
	if !c.api.cfg.PasswordBase64 {
		return text
	}
	plain := strings.NewReplacer("-", "+", "_", "/", " ", "+", "=", "").Replace(text)
	if data, err := base64.RawStdEncoding.DecodeString(plain); err == nil {
		return string(data)
	}
	return text
}

var refreshFailures = failures{jwtauth.ErrInvalidRefreshToken.Code: {number: 51, message: "The refresh token is not valid."}}

// refresh answers POST /auth/refresh. It takes a refresh token, or else an
// access token, which may have expired a while ago.
func (c *call) refresh() (any, error) {
	token := c.in.text("refresh_token")
	switch {
	case token == "" && c.jwt == "":
		return nil, &failure{number: 51, message: "The JWT or the refresh token is missing.", status: 422}
	case token == "":
		return c.refreshJWT()
	case c.jwt != "":
		if _, err := c.identity(); jwtauth.Reason(err) == jwtauth.ReasonRevoked {
			return nil, err
		}
	}
	g, err := c.api.auth.Refresh(c.r.Context(), token)
	if err != nil {
		return nil, err
	}
	return grantBody{true, grantData{g.AccessToken, g.RefreshToken}}, nil
}

// refreshJWT refreshes by the access token. What its caller chose to have in it
// goes on: the token is not verified yet when that is read, and nothing comes
// of it unless it is.
func (c *call) refreshJWT() (any, error) {
	old, _ := jsonMembers(segment(c.jwt, 1))
	ctx, err := c.withCallerClaims(old)
	if err != nil {
		return nil, err
	}
	g, err := c.api.auth.RefreshExpired(ctx, c.jwt, c.api.cfg.RefreshTTL)
	if err != nil {
		return nil, c.refreshRefusal(err)
	}
	return grantBody{true, grantData{g.AccessToken, g.RefreshToken}}, nil
}

// refreshRefusal says why an access token does not refresh: it is too old, or
// its session is.
func (c *call) refreshRefusal(err error) error {
	refused := errors.Is(err, jwtauth.ErrInvalidToken) || errors.Is(err, jwtauth.ErrInvalidRefreshToken)
	switch reason := jwtauth.Reason(err); {
	case refused && reason == jwtauth.ReasonExpired && c.api.cfg.Version == V3:
		return &failure{number: 50, message: "The JWT is too old to be refreshed.", cause: err}
	case refused && reason == jwtauth.ReasonExpired:
		return errExpired.because(err)
	case refused && reason == jwtauth.ReasonRevoked:
		return errRevoked.because(err)
	}
	return err
}

type (
	validBody struct {
		Success bool      `json:"success"`
		Data    validData `json:"data"`
	}
	validData struct {
		User  userV3   `json:"user"`
		Roles []string `json:"roles"`
		JWT   any      `json:"jwt"`
	}
	jwtView struct {
		Token    string          `json:"token"`
		Header   json.RawMessage `json:"header"`
		Payload  json.RawMessage `json:"payload"`
		ExpireIn int64           `json:"expire_in"`
	}
)

// validate answers GET and POST /auth/validate.
func (c *call) validate() (any, error) {
	id, u, err := c.user()
	if err != nil {
		return nil, err
	}
	left := id.Claims.ExpiresAt.Sub(c.api.auth.Now())
	view := jwtView{c.jwt, segment(c.jwt, 0), id.Claims.Raw(), seconds(left)}
	body := validBody{true, validData{User: viewUser(u), Roles: roles(u), JWT: view}}
	if c.api.cfg.Version == V3 {
		body.Data.JWT = []jwtView{view}
	}
	return body, nil
}

// user returns whose access token the request has.
func (c *call) user() (*jwtauth.Identity, jwtauth.User, error) {
	id, err := c.identity()
	if err != nil {
		return nil, jwtauth.User{}, err
	}
	u, err := c.api.auth.UserByID(c.r.Context(), id.UserID)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return nil, u, errNoUser.because(err)
	}
	return id, u, err
}

type (
	revokeBody struct {
		Success bool       `json:"success"`
		Message string     `json:"message"`
		Data    revokeData `json:"data"`
	}
	revokeData struct {
		JWT any `json:"jwt"`
	}
)

// revoke answers POST /auth/revoke. Unlike the native route it tells one that
// was revoked before, and refuses what is not a valid token.
func (c *call) revoke() (any, error) {
	_, err := c.identity()
	if c.api.cfg.Version == V3 && jwtauth.Reason(err) == jwtauth.ReasonRevoked {
		return nil, &failure{number: 0, message: "The token is revoked already.", cause: err}
	}
	if err != nil {
		return nil, err
	}
	if err := c.api.auth.Revoke(c.r.Context(), c.jwt); err != nil {
		return nil, err
	}
	c.api.auth.ClearCookies(c.w)
	body := revokeBody{true, "The token is revoked.", revokeData{c.jwt}}
	if c.api.cfg.Version == V4 {
		body.Data.JWT = []string{c.jwt}
	}
	return body, nil
}
