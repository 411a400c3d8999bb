package adminui

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

// unavailable is a fault of something that the host has brought in. Its text is
// for the log.
func unavailable(err error) error {
	var known *jwtauth.Error
	if errors.As(err, &known) {
		return known
	}
	return fault{err}
}

// fault answers 503 and keeps its cause.
type fault struct{ cause error }

func (f fault) Error() string { return f.cause.Error() }

// systemPage is the configuration in effect, and what is odd about it.
type systemPage struct {
	Findings []jwtauth.Finding
	Outages  jwtauth.Outages
	Sections []settingSection
}

type settingSection struct {
	Name     string
	Settings []jwtauth.Setting
}

func (a *admin) system(v *visit) error {
	if _, err := v.query(); err != nil {
		return err
	}
	p := systemPage{Findings: v.auth.Check(v.r.Context()), Outages: v.auth.Outages()}
	for _, s := range v.auth.Settings() {
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Name != s.Section {
			p.Sections = append(p.Sections, settingSection{Name: s.Section})
		}
		last := &p.Sections[len(p.Sections)-1]
		last.Settings = append(last.Settings, s)
	}
	return v.render("system", "system", "System", p)
}

// keysPage is the keys, and whether they can be rotated from here.
type keysPage struct {
	Keys      []keyRow
	CanRotate bool
}

type keyRow struct {
	jwtauth.KeyInfo
	Age time.Duration
}

func (a *admin) keys(v *visit) error {
	if _, err := v.query(); err != nil {
		return err
	}
	p := keysPage{CanRotate: a.rotate != nil}
	for _, k := range v.auth.Keys() {
		p.Keys = append(p.Keys, keyRow{k, max(v.auth.Now().Sub(k.Created), 0)})
	}
	return v.render("keys", "keys", "Keys", p)
}

// rotateKeys asks the host for a new key. That the browser goes away does not stop
// it half way.
func (a *admin) rotateKeys(v *visit) error {
	if _, err := v.form(); err != nil {
		return err
	}
	failed := a.rotate(context.WithoutCancel(v.r.Context()))
	if err := v.outcome(jwtauth.EventKeyRotate, "not_rotated", failed); err != nil {
		return err
	}
	if failed != nil {
		return refusal{http.StatusServiceUnavailable, "The key was not rotated: the one that signed before goes on. The reason is in the log."}
	}
	return v.back("keys", "rotated", nil)
}
