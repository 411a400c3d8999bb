package adminui

import (
	"log/slog"
	"net/http"
	"net/url"

	"github.com/go-jwtauth/jwtauth"
)

// AccountConfig is what the pages of one's own account can be told. The zero
// value is usable; the fields mean what those of [Config] mean.
type AccountConfig struct {
	Site     string
	LoginURL string
	AllowIPs []string
	Logger   *slog.Logger
}

// NewAccount returns the pages on which everybody who is signed in sees their own
// devices and what happened to their account, ends sessions, and signs out
// everywhere. Mount it as the handler of [New]. Whose account it is comes from
// the token alone.
func NewAccount(auth *jwtauth.Auth, cfg AccountConfig) (http.Handler, error) {
	if auth == nil {
		return nil, errNoAuth
	}
	s, err := newSite(auth, "account", common{cfg.Site, cfg.LoginURL, cfg.AllowIPs, cfg.Logger})
	if err != nil {
		return nil, err
	}
	s.get("/", (*visit).account)
	s.post("/end-session", (*visit).endOwn)
	s.post("/end-others", (*visit).endOthers)
	s.post("/end-all", (*visit).endEverywhere)
	s.post("/sign-out", (*visit).signOut)
	return s, nil
}

// accountPage is one's own devices and activity.
type accountPage struct {
	sessionList
	Activity      []eventRow
	Older, Newest string
}

func (v *visit) account() error {
	q, err := v.query("before", "offset")
	if err != nil {
		return err
	}
	offset, before := int(min(q.number("offset"), 1<<30)), q.text("before")
	if err := q.err(); err != nil {
		return err
	}
	if err := v.auth.Record(v.r.Context(), jwtauth.Event{Name: jwtauth.EventReadActivity, UserID: v.id.UserID}); err != nil {
		return err
	}
	var p accountPage
	if err := p.loadSessions(v, v.id.UserID, offset, url.Values{}); err != nil {
		return err
	}
	if err := p.loadActivity(v, before); err != nil {
		return err
	}
	return v.render("account", "", "Your account", p)
}

func (p *accountPage) loadActivity(v *visit, before string) error {
	const most = 20
	events, err := v.auth.Events(v.r.Context(), jwtauth.EventFilter{UserID: v.id.UserID, Before: before, Limit: most + 1})
	if err != nil {
		return err
	}
	if len(events) > most {
		events = events[:most]
		p.Older = with(url.Values{}, "before", events[most-1].ID)
	}
	if before != "" {
		p.Newest = "./"
	}
	for _, e := range events {
		p.Activity = append(p.Activity, eventRow{Event: e})
	}
	return nil
}

func (v *visit) endOwn() error {
	f, err := v.form("session")
	if err != nil {
		return err
	}
	done, err := v.ended(v.id.UserID, f.raw("session"))
	if err != nil {
		return err
	}
	if f.raw("session") == v.id.SessionID {
		return v.signedOut()
	}
	return v.back("", done, nil)
}

func (v *visit) endOthers() error {
	if _, err := v.form(); err != nil {
		return err
	}
	if _, err := v.auth.EndOtherSessions(v.r.Context(), v.id.UserID, v.id.SessionID); err != nil {
		return err
	}
	return v.back("", "others-ended", nil)
}

// endEverywhere ends this session as well, and tokens without one.
func (v *visit) endEverywhere() error {
	if _, err := v.form(); err != nil {
		return err
	}
	if err := v.auth.RevokeUser(v.r.Context(), v.id.UserID); err != nil {
		return err
	}
	return v.signedOut()
}
