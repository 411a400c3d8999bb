package jwtauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/wprest"
)

// The administrator's list has our sessions in the place of the plugin's rows of
// tokens: a row there is what one login and its refreshes have made.

// adminToken is one row.
type adminToken struct {
	ID               string    `json:"id"`
	UserID           wprest.ID `json:"user_id"`
	UserLogin        string    `json:"user_login"`
	Nicename         string    `json:"user_nicename"`
	DisplayName      string    `json:"user_display_name"`
	UserLink         string    `json:"user_link"`
	Hash             string    `json:"hash"`
	RefreshHash      string    `json:"refresh_token_hash"`
	Family           string    `json:"token_family"`
	IssuedAt         string    `json:"issued_at"`
	ExpiresAt        string    `json:"expires_at"`
	LastUsedAt       *string   `json:"last_used_at"`
	RevokedAt        *string   `json:"revoked_at"`
	RefreshExpiresAt string    `json:"refresh_token_expires_at"`
	UserAgent        string    `json:"user_agent"`
	Address          string    `json:"ip_address"`
	Metadata         *string   `json:"metadata"`
	BlogID           int       `json:"blog_id"`
	Status           string    `json:"status"`
}

type pagination struct {
	Total       int `json:"total"`
	PerPage     int `json:"per_page"`
	CurrentPage int `json:"current_page"`
	TotalPages  int `json:"total_pages"`
}

type adminPage struct {
	Items      []adminToken `json:"items"`
	Pagination pagination   `json:"pagination"`
}

// adminBody is the envelope of these routes. A refusal has success false.
type adminBody struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
	Data    any    `json:"data,omitempty"`
}

var errTokenNotFound = &wprest.Error{Code: "jwt_auth_token_not_found", Message: "There is no such token.", Status: http.StatusNotFound, Cause: jwtauth.ErrNotFound}

// administrator refuses everybody else: 401 who is not known, 403 who is. What is
// done from then on is recorded as done by this one.
func (c *call) administrator() error {
	token, err := bearer(c.r.Header)
	if err != nil {
		return wprest.Forbidden(true)
	}
	c.id, err = c.api.auth.Verify(c.r.Context(), token)
	switch {
	case errors.Is(err, jwtauth.ErrInvalidToken):
		return wprest.Forbidden(true)
	case err != nil:
		return err
	case !c.id.HasRole(c.api.admin):
		return wprest.Forbidden(false)
	}
	c.r = c.api.auth.WithIdentity(c.r, c.id)
	return nil
}

// listTokens answers GET /admin/tokens.
func (c *call) listTokens() (any, error) {
	if err := c.administrator(); err != nil {
		return nil, err
	}
	f, err := c.filter()
	if err != nil {
		return nil, err
	}
	var page []jwtauth.Session
	var total int
	if !f.nothing {
		if page, total, err = c.api.auth.AllSessions(c.r.Context(), f.query); err != nil {
			return nil, err
		}
	}
	items, err := c.rows(page)
	if err != nil {
		return nil, err
	}
	return adminBody{Success: true, Data: adminPage{items, pagination{Total: total, PerPage: f.query.Limit, CurrentPage: f.page,
		TotalPages: (total + f.query.Limit - 1) / f.query.Limit}}}, nil
}

// filter is what a list was asked for. nothing says that no session can match.
type filter struct {
	query   jwtauth.SessionQuery
	page    int
	nothing bool
}

// maxPages keeps the offset within what any store can count.
const maxPages = 1_000_000

// filter reads the parameters.
func (c *call) filter() (f filter, err error) {
	q := map[string]string{}
	for _, name := range []string{"user_id", "username", "status", "created_at", "expires_at", "page", "per_page"} {
		text, _, e := c.params.Text(name)
		if e != nil {
			return f, e
		}
		q[name] = text
	}
	var ok bool
	if f.page, ok = number(q["page"], 1, maxPages); !ok {
		return f, complaint("The page must be a number from 1 on.")
	}
	if f.query.Limit, ok = number(q["per_page"], 10, 100); !ok {
		return f, complaint("A page has 1 to 100 tokens.")
	}
	f.query.Offset = (f.page - 1) * f.query.Limit
	f.query.UserID = q["user_id"]
	now := c.api.auth.Now()
	switch q["status"] {
	case "":
	case "active":
		f.query.ExpiresAfter = now
	case "expired":
		f.query.ExpiresUntil = now
	case "revoked":
		f.nothing = true // what is revoked is not kept
	default:
		return f, complaint("The status must be active, expired or revoked.")
	}
	if !f.days(q["created_at"], q["expires_at"]) {
		return f, complaint("A date is written YYYY-MM-DD.")
	}
	return f, c.narrow(&f, q["username"])
}

// days limits the list to the login and the end of one day, in UTC.
func (f *filter) days(created, expires string) bool {
	if created != "" {
		day, err := time.Parse(time.DateOnly, created)
		if err != nil {
			return false
		}
		f.query.CreatedFrom, f.query.CreatedBefore = day, day.AddDate(0, 0, 1)
	}
	if expires == "" {
		return true
	}
	day, err := time.Parse(time.DateOnly, expires)
	if err != nil {
		return false
	}
	// These bounds are the other way round; stores keep microseconds.
	after, until := day.Add(-time.Microsecond), day.AddDate(0, 0, 1).Add(-time.Microsecond)
	if after.After(f.query.ExpiresAfter) {
		f.query.ExpiresAfter = after
	}
	if f.query.ExpiresUntil.IsZero() || until.Before(f.query.ExpiresUntil) {
		f.query.ExpiresUntil = until
	}
	return true
}

// narrow limits the list to the account with that name or address.
func (c *call) narrow(f *filter, username string) error {
	if username == "" {
		return nil
	}
	u, err := c.api.auth.UserByLogin(c.r.Context(), username)
	switch {
	case errors.Is(err, jwtauth.ErrNotFound):
		f.nothing = true
	case err != nil:
		return err
	case f.query.UserID != "" && f.query.UserID != u.ID:
		f.nothing = true
	default:
		f.query.UserID = u.ID
	}
	return nil
}

// number reads a parameter from 1 to limit; an absent one is def.
func number(text string, def, limit int) (int, bool) {
	if text == "" {
		return def, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && 1 <= n && n <= limit && strconv.Itoa(n) == text
}

// rows shows sessions with their users, each of whom is asked for once.
func (c *call) rows(list []jwtauth.Session) ([]adminToken, error) {
	users := map[string]jwtauth.User{}
	rows := make([]adminToken, len(list))
	for i, s := range list {
		u, known := users[s.UserID]
		if !known {
			var err error
			if u, err = c.owner(s); err != nil {
				return nil, err
			}
			users[s.UserID] = u
		}
		rows[i] = c.row(s, u)
	}
	return rows, nil
}

// owner returns whose session it is; one whose account was deleted a moment ago
// has nobody.
func (c *call) owner(s jwtauth.Session) (jwtauth.User, error) {
	u, err := c.api.auth.UserByID(c.r.Context(), s.UserID)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return jwtauth.User{}, nil
	}
	return u, err
}

func (c *call) row(s jwtauth.Session, u jwtauth.User) adminToken {
	row := adminToken{
		ID: s.ID, UserID: wprest.ID(s.UserID), UserLogin: u.Login, Nicename: nicename(u), DisplayName: u.DisplayName,
		Family: s.ID, IssuedAt: sqlTime(s.Created), ExpiresAt: sqlTime(s.Expires), RefreshExpiresAt: sqlTime(s.Expires),
		UserAgent: s.UserAgent, Address: s.Address, BlogID: 1, Status: "Active",
	}
	if !s.Moved.Equal(s.Created) {
		moved := sqlTime(s.Moved)
		row.LastUsedAt = &moved
	}
	if s.UserAgent != "" {
		meta, _ := json.Marshal(map[string]string{"user_agent": s.UserAgent}) // a string always marshals
		text := string(meta)
		row.Metadata = &text
	}
	if !s.Expires.After(c.api.auth.Now()) {
		row.Status = "Expired"
	}
	return row
}

// session returns the one of the path, for an administrator.
func (c *call) session() (jwtauth.Session, error) {
	if err := c.administrator(); err != nil {
		return jwtauth.Session{}, err
	}
	s, err := c.api.auth.Session(c.r.Context(), c.r.PathValue("id"))
	if errors.Is(err, jwtauth.ErrNotFound) {
		return jwtauth.Session{}, errTokenNotFound
	}
	return s, err
}

// getToken answers GET /admin/tokens/{id}.
func (c *call) getToken() (any, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	rows, err := c.rows([]jwtauth.Session{s})
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// end ends the session of the path and returns its row as it was.
func (c *call) end() (adminToken, error) {
	s, err := c.session()
	if err != nil {
		return adminToken{}, err
	}
	rows, err := c.rows([]jwtauth.Session{s})
	if err != nil {
		return adminToken{}, err
	}
	err = c.api.auth.EndSession(c.r.Context(), s.UserID, s.ID)
	if errors.Is(err, jwtauth.ErrNotFound) {
		err = errTokenNotFound
	}
	return rows[0], err
}

// revokeToken answers PUT /admin/tokens/{id}.
func (c *call) revokeToken() (any, error) {
	row, err := c.end()
	if err != nil {
		return nil, err
	}
	now := sqlTime(c.api.auth.Now())
	row.RevokedAt, row.Status = &now, "Revoked"
	return adminBody{Success: true, Message: "Token revoked successfully", Data: row}, nil
}

// deleteToken answers DELETE /admin/tokens/{id}.
func (c *call) deleteToken() (any, error) {
	if _, err := c.end(); err != nil {
		return nil, err
	}
	return adminBody{Success: true, Message: "Token deleted successfully"}, nil
}
