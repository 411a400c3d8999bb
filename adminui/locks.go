package adminui

import (
	"net/url"

	"github.com/go-jwtauth/jwtauth"
)

const locksPerPage = 50

// locksPage is who is locked at present.
type locksPage struct {
	Locks []lockRow
	Older string
	First bool
}

type lockRow struct {
	jwtauth.Lock
	User string
}

func (a *admin) locks(v *visit) error {
	q, err := v.query("before")
	if err != nil {
		return err
	}
	ctx, before := v.r.Context(), q.text("before")
	if err := v.auth.Record(ctx, jwtauth.Event{Name: jwtauth.EventReadAccounts}); err != nil {
		return err
	}
	list, next, err := v.auth.Locks(ctx, jwtauth.LockQuery{Before: before, Limit: locksPerPage})
	if err != nil {
		return err
	}
	p := locksPage{First: before == ""}
	for _, l := range list {
		name, err := v.nameOf(l.UserID)
		if err != nil {
			return err
		}
		p.Locks = append(p.Locks, lockRow{l, name})
	}
	if next != "" {
		p.Older = with(url.Values{}, "before", next)
	}
	return v.render("locks", "locks", "Locks", p)
}

// unlock leads back to the page that it was asked for on.
func (a *admin) unlock(v *visit) error {
	f, err := v.form("user", "back")
	if err != nil {
		return err
	}
	user := f.raw("user")
	if _, err := v.auth.UserByID(v.r.Context(), user); err != nil {
		return err
	}
	if err := v.auth.Unlock(v.r.Context(), user); err != nil {
		return err
	}
	if f.text("back") == "user" {
		return v.back("user", "unlocked", url.Values{"id": {user}})
	}
	return v.back("locks", "unlocked", nil)
}
