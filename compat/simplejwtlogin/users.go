package simplejwtlogin

import (
	"crypto/rand"
	"errors"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// registerFailures: what is wrong with a field is 36, in the words of the
// service.
var registerFailures = failures{
	jwtauth.ErrRegistrationClosed.Code: {number: 31},
	jwtauth.ErrMissingFields.Code:      {number: 35},
	jwtauth.ErrInvalidInput.Code:       {number: 36},
	jwtauth.ErrWeakPassword.Code:       {number: 36},
	jwtauth.ErrLoginTaken.Code:         {number: 38, message: "This user exists already."},
	jwtauth.ErrEmailTaken.Code:         {number: 38, message: "This user exists already."},
}

type (
	registerV3 struct {
		Success bool      `json:"success"`
		ID      wprest.ID `json:"id"`
		Message string    `json:"message"`
		User    userV3    `json:"user"`
		Roles   []string  `json:"roles"`
		JWT     string    `json:"jwt,omitempty"`
	}
	registerV4 struct {
		Success bool           `json:"success"`
		Data    registerV4Data `json:"data"`
	}
	registerV4Data struct {
		userV4
		Roles []string `json:"roles"`
		JWT   string   `json:"jwt,omitempty"`
	}
)

const messageRegistered = "User was successfully created."

// register answers POST /users.
func (c *call) register() (any, error) {
	cfg := c.api.cfg
	if cfg.RegisterLogin {
		if err := c.api.auth.CheckOrigin(c.r); err != nil {
			return nil, err
		}
	}
	g, err := c.api.auth.Register(c.r.Context(), c.registration())
	switch {
	case jwtauth.Reason(err) == jwtauth.ReasonDomain:
		return nil, (&failure{number: 37}).because(err)
	case err != nil:
		return nil, err
	case g.User.ID == "": // private registration: new or not, this is all
		return c.said(messageRegistered), nil
	case cfg.RegisterLogin:
		return c.logInRegistered(g.User)
	case cfg.Version == V4:
		return registerV4{true, registerV4Data{userV4(viewUser(g.User)), roles(g.User), g.AccessToken}}, nil
	}
	return registerV3{true, wprest.ID(g.User.ID), messageRegistered, viewUser(g.User), roles(g.User), g.AccessToken}, nil
}

// registration reads the fields of a new account.
func (c *call) registration() jwtauth.Registration {
	reg := jwtauth.Registration{Username: c.in.text("user_login"), Email: c.in.text("email"), Password: c.in.text("password"),
		Name: c.in.text("display_name"), Profile: c.profile(), Meta: c.meta(), Roles: c.api.cfg.RegisterRoles,
		NoLogin: !c.api.cfg.RegisterJWT}
	if c.given.Role != "" {
		reg.Roles = []string{c.given.Role}
	}
	if c.api.cfg.RandomPassword {
		reg.Password = rand.Text()
	}
	return reg
}

// profile reads the profile fields, the preferences of WordPress among them.
func (c *call) profile() map[string]string {
	texts, flags := jwtauth.ProfileFields()
	profile := map[string]string{}
	for _, name := range texts {
		profile[name] = c.in.text(name)
	}
	for _, name := range flags {
		profile[name] = yesOrNo(c.in.text(name))
	}
	return profile
}

// yesOrNo reads a boolean as PHP clients also send it.
func yesOrNo(text string) string {
	switch text {
	case "1":
		return "true"
	case "0":
		return "false"
	}
	return text
}

// meta returns the allowed members of user_meta.
func (c *call) meta() map[string]string {
	given, meta := c.in.object("user_meta"), map[string]string{}
	for _, name := range c.api.cfg.UserMeta {
		if value, ok := given[name]; ok {
			meta[name] = value
		}
	}
	return meta
}

// logInRegistered logs the browser in that has just registered, where it may be.
func (c *call) logInRegistered(u jwtauth.User) (any, error) {
	token, err := c.api.auth.AutoLoginToken(c.r.Context(), u.ID)
	if errors.Is(err, jwtauth.ErrEmailNotVerified) {
		return c.said(messageRegistered), nil
	}
	if err != nil {
		return nil, err
	}
	return c.finishAutoLogin(token)
}

// deleteFailures: who may not, or has to prove the password first.
var deleteFailures = failures{
	jwtauth.ErrForbidden.Code:          {number: 39, message: "Accounts can't be deleted here."},
	jwtauth.ErrReauthRequired.Code:     {number: 47},
	jwtauth.ErrInvalidCredentials.Code: {number: 48},
	jwtauth.ErrNotFound.Code:           errNoUser,
}

type deletedV3 struct {
	Message string    `json:"message"`
	ID      wprest.ID `json:"id"`
	Success bool      `json:"success"`
}

const messageDeleted = "User was successfully deleted."

// deleteUser answers DELETE /users.
func (c *call) deleteUser() (any, error) {
	_, u, err := c.user()
	if err != nil {
		return nil, err
	}
	if err := c.api.auth.DeleteOwnAccount(c.r.Context(), u.ID, c.secret("password")); err != nil {
		return nil, err
	}
	c.api.auth.ClearCookies(c.w)
	if c.api.cfg.Version == V4 {
		return c.said(messageDeleted), nil
	}
	return deletedV3{messageDeleted, wprest.ID(u.ID), true}, nil
}
