package adminui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-jwtauth/jwtauth"
)

const (
	usersPerPage    = 50
	sessionsPerPage = 50
)

// usersPage is a page of accounts.
type usersPage struct {
	Find  string
	Users []jwtauth.User
	Next  string
	First bool
	// CanList says that the store can list accounts.
	CanList bool
	Unknown bool
}

func (a *admin) users(v *visit) error {
	q, err := v.query("find", "after")
	if err != nil {
		return err
	}
	p := usersPage{Find: q.text("find"), First: q.text("after") == ""}
	p.CanList, _ = v.auth.CanList()
	if p.Find != "" {
		u, err := v.findUser(p.Find)
		if err == nil {
			return v.redirect("user?" + url.Values{"id": {u.ID}}.Encode())
		}
		if !errors.Is(err, jwtauth.ErrNotFound) {
			return err
		}
		p.Unknown = true
	}
	if err := v.auth.Record(v.r.Context(), jwtauth.Event{Name: jwtauth.EventReadAccounts}); err != nil {
		return err
	}
	if p.CanList && !p.Unknown {
		err = p.load(v, q.text("after"))
	}
	if err != nil {
		return err
	}
	return v.render("users", "users", "Users", p)
}

func (p *usersPage) load(v *visit, after string) error {
	users, err := v.auth.Users(v.r.Context(), jwtauth.UserQuery{After: after, Limit: usersPerPage + 1})
	if errors.Is(err, jwtauth.ErrNotFound) || errors.Is(err, jwtauth.ErrInvalidInput) {
		return badRequest("A parameter can’t be read: after.")
	}
	if err != nil {
		return err
	}
	if len(users) > usersPerPage {
		users = users[:usersPerPage]
		p.Next = with(url.Values{}, "after", users[len(users)-1].ID)
	}
	p.Users = users
	return nil
}

// userPage is one account.
type userPage struct {
	sessionList
	User     jwtauth.User
	Lock     jwtauth.Lock
	Locked   bool
	Password bool // whether it has one
	Activity []eventRow
}

// sessionList is a page of the sessions of an account. Total is how many there
// are, From and To which of them are shown, counted from 1.
type sessionList struct {
	Sessions        []sessionRow
	Total, From, To int
	Earlier, Later  string
}

// sessionRow is a session; Current marks the one that asks.
type sessionRow struct {
	jwtauth.Session
	Current bool
}

func (a *admin) user(v *visit) error {
	q, err := v.query("id", "offset")
	if err != nil {
		return err
	}
	id, offset := q.raw("id"), int(min(q.number("offset"), 1<<30))
	if err := q.err(); err != nil {
		return err
	}
	u, err := v.auth.UserByID(v.r.Context(), id)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return refusal{http.StatusNotFound, "There is no such account, or it was deleted."}
	}
	if err == nil {
		err = v.auth.Record(v.r.Context(), jwtauth.Event{Name: jwtauth.EventReadAccount, UserID: id})
	}
	p := userPage{User: u, Password: u.PasswordHash != ""}
	p.User.PasswordHash = ""
	if err == nil {
		err = errors.Join(p.loadSessions(v, id, offset, url.Values{"id": {id}}), p.loadState(v))
	}
	if err != nil {
		return err
	}
	return v.render("user", "users", "User "+u.Login, p)
}

// loadState reads the lock and the last events.
func (p *userPage) loadState(v *visit) (err error) {
	ctx, id := v.r.Context(), p.User.ID
	if p.Lock, p.Locked, err = v.auth.LockOf(ctx, id); err != nil {
		return err
	}
	recent, err := v.auth.Events(ctx, jwtauth.EventFilter{UserID: id, Limit: 10})
	if err != nil {
		return err
	}
	p.Activity, err = v.named(recent)
	return err
}

// loadSessions reads a page of the sessions of an account. Links to other pages
// keep the parameters.
func (p *sessionList) loadSessions(v *visit, userID string, offset int, parameters url.Values) error {
	list, total, err := v.sessionsOf(userID, offset)
	if err != nil {
		return err
	}
	for _, s := range list {
		p.Sessions = append(p.Sessions, sessionRow{s, s.ID == v.id.SessionID})
	}
	p.Total, p.From, p.To = total, min(offset+1, total), offset+len(list)
	at := func(offset int) string {
		return with(parameters, "offset", strconv.Itoa(offset))
	}
	if offset > 0 {
		p.Later = at(max(offset-sessionsPerPage, 0))
	}
	if p.To < total {
		p.Earlier = at(p.To)
	}
	return nil
}

// sessionsOf returns a page of live sessions, the latest login first, and how
// many there are. A store that can't page gives all of them.
func (v *visit) sessionsOf(userID string, offset int) ([]jwtauth.Session, int, error) {
	ctx := v.r.Context()
	if _, pages := v.auth.CanList(); pages {
		return v.auth.AllSessions(ctx, jwtauth.SessionQuery{UserID: userID, ExpiresAfter: v.auth.Now(), Offset: offset, Limit: sessionsPerPage})
	}
	all, err := v.auth.Sessions(ctx, userID)
	rest := all[min(offset, len(all)):]
	return slices.Clone(rest[:min(sessionsPerPage, len(rest))]), len(all), err
}

func (a *admin) endSession(v *visit) error {
	f, err := v.form("user", "session")
	if err != nil {
		return err
	}
	user := f.raw("user")
	done, err := v.ended(user, f.raw("session"))
	if err != nil {
		return err
	}
	return v.back("user", done, url.Values{"id": {user}})
}

// ended ends one session and says what was done. That it is over already is what
// was wanted.
func (v *visit) ended(user, session string) (done string, err error) {
	err = v.auth.EndSession(v.r.Context(), user, session)
	if errors.Is(err, jwtauth.ErrNotFound) {
		return "session-gone", nil
	}
	return "session-ended", err
}

// endAll raises the credential version, so that tokens without a session die as
// well.
func (a *admin) endAll(v *visit) error {
	f, err := v.form("user")
	if err != nil {
		return err
	}
	user := f.raw("user")
	if err := v.auth.RevokeUser(v.r.Context(), user); err != nil {
		return err
	}
	return v.back("user", "all-ended", url.Values{"id": {user}})
}
