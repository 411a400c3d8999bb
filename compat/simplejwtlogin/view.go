package simplejwtlogin

import (
	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// userV3 is a user as V3 shows it everywhere and V4 where it validates: the row
// of WordPress, all texts. There is no user_activation_key to show.
type userV3 struct {
	ID            string `json:"ID"`
	Login         string `json:"user_login"`
	Nicename      string `json:"user_nicename"`
	Email         string `json:"user_email"`
	URL           string `json:"user_url"`
	Registered    string `json:"user_registered"`
	ActivationKey string `json:"user_activation_key"`
	Status        string `json:"user_status"`
	DisplayName   string `json:"display_name"`
}

// userV4 is the same as V4 answers a registration.
type userV4 struct {
	ID            string `json:"id"`
	Login         string `json:"login"`
	Nicename      string `json:"nicename"`
	Email         string `json:"email"`
	URL           string `json:"url"`
	Registered    string `json:"registered"`
	ActivationKey string `json:"activation_key"`
	Status        string `json:"status"`
	DisplayName   string `json:"display_name"`
}

func viewUser(u jwtauth.User) userV3 {
	return userV3{ID: u.ID, Login: u.Login, Nicename: wprest.NicenameOf(u.Meta[jwtauth.MetaNicename], u.Login, u.ID), Email: u.Email, URL: u.Meta[jwtauth.MetaURL],
		Registered: u.Created.UTC().Format("2006-01-02 15:04:05"), Status: "0", DisplayName: u.DisplayName}
}

// roles are an array, also where there is none.
func roles(u jwtauth.User) []string {
	if u.Roles == nil {
		return []string{}
	}
	return u.Roles
}

// messageV3 and messageV4 are the answers of what has nothing else to say.
type (
	messageV3 struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}
	messageV4 struct {
		Success bool        `json:"success"`
		Data    messageData `json:"data"`
	}
	messageData struct {
		Message string `json:"message"`
	}
)

func (c *call) said(message string) any {
	if c.api.cfg.Version == V4 {
		return messageV4{true, messageData{message}}
	}
	return messageV3{true, message}
}
