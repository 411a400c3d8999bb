// Package adminui serves pages on which people look after accounts: recent
// activity, users with their sessions, locks, webhooks, keys and the settings in
// effect for administrators ([New]); one's own devices and activity for every
// user ([NewAccount]); and a form to sign in with ([NewSignIn]).
//
//	ui, err := adminui.New(auth, adminui.Config{LoginURL: "/signin/?next={next}"})
//	…
//	mux.Handle("/admin/", http.StripPrefix("/admin", ui))
//
// The handlers refuse anonymous callers, and those without the right role, by
// themselves: whatever else a host puts in front of them is a second lock. They
// take the token from the cookie ([jwtauth.CookieConfig]) or from the
// Authorization header. All links are relative, so that they work below any
// prefix, and behind proxies that change it.
//
// Pages need no script and no build step. Nothing is loaded from elsewhere, and
// the policy that goes with each answer (Content-Security-Policy) forbids it. No
// GET changes anything; every POST must come from a page of the same origin
// ([net/http.CrossOriginProtection]; origins that CORS allows are no exception),
// and is answered with 303.
//
// # Addresses
//
// Of the pages for administrators, below the prefix:
//
//	GET  /                   leads to activity
//	GET  /activity           ?user= &event= &result= &address= &from= &to= &before=
//	GET  /users              ?find= (id, name or e-mail address, exactly) &after=
//	GET  /user               ?id= &offset=
//	POST /user/end-session   user, session
//	POST /user/end-all       user
//	GET  /locks              ?before=
//	POST /unlock             user
//	GET  /webhooks           where Config.Webhooks is set
//	GET  /webhook            ?name= &after=
//	POST /webhook/redeliver  name, sequence
//	POST /webhook/replay     name, from
//	GET  /keys
//	POST /keys/rotate        where Config.Rotate is set
//	GET  /system             findings, outages, settings
//	POST /sign-out
//
// Of the pages for each user, and of the form:
//
//	GET  /                   devices and recent activity; ?before=
//	POST /end-session        session
//	POST /end-others
//	POST /end-all
//	POST /sign-out
//
//	GET  /                   the form; ?next=
//	POST /                   login, password, next
//	POST /continue           next
//
// Each also has GET /style.css, /app.js and /icon.svg, for everybody. What changes something
// leads back to a page with the parameter done, which says what was done in the
// element with the id status. Times in parameters are RFC 3339, or without a zone
// in UTC. A parameter that is not listed, is given twice or can't be read is
// answered with 400: a filter that is passed over shows too much.
//
// # What stays the same
//
// Tests and styles may rely on these ids: main, status, error, filter, renew,
// events, users, find, account, lock, sessions, end-all, end-others, locks, webhooks,
// letters, replay, keys, rotate, outages, findings, settings, sign-out, sign-in,
// continue, newest, older, first, next. Rows of events have data-event, those of users
// and locks data-user, those of sessions data-session, of endpoints data-webhook, of
// dead letters data-sequence, of keys data-kid, of findings data-finding, of settings
// data-setting. What somebody should look at has the class bad.
package adminui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

// Config is what the pages for administrators can be told. The zero value is
// usable.
type Config struct {
	// Roles may use the pages: one of them is enough. Default: those that may
	// see the trail, [jwtauth.AuditConfig.Roles].
	Roles []string
	// Site names the service at the top of each page. Default: the host of
	// the issuer.
	Site string
	// LoginURL is where somebody whose login has expired signs in again: a
	// path, or an absolute http(s) URL. "{next}" in it stands for the address
	// that they wanted, escaped for a query. Empty: no link.
	LoginURL string
	// AccountURL leads to the pages of [NewAccount]. Empty: no link.
	AccountURL string
	// AllowIPs are the only addresses that may call, as
	// [jwtauth.AccessConfig.AllowIPs] has them. Empty: all.
	AllowIPs []string
	// Webhooks shows and repairs the delivery of events. Nil: no such page.
	Webhooks Webhooks
	// Rotate makes a new key the one that signs, wherever keys are kept; with
	// a directory it is [jwtauth.AddKey] and [jwtauth.KeySet.Reload]. Nil: keys
	// are shown and there is no button.
	Rotate func(ctx context.Context) error
	// Logger gets what went wrong. Default: slog.Default.
	Logger *slog.Logger
}

// Webhooks is what a *webhook.Dispatcher offers, with the meaning that package
// webhook gives it.
type Webhooks interface {
	Status(ctx context.Context) ([]jwtauth.WebhookStatus, error)
	DeadLetters(ctx context.Context, endpoint string, after int64, limit int) ([]jwtauth.DeadLetter, error)
	Redeliver(ctx context.Context, endpoint string, sequence int64) error
	Replay(ctx context.Context, endpoint string, from int64) error
}

// New returns the pages for administrators, to be mounted with
// [http.StripPrefix]. It reports every mistake of cfg at once.
func New(auth *jwtauth.Auth, cfg Config) (http.Handler, error) {
	if auth == nil {
		return nil, errNoAuth
	}
	cfg.Roles = slices.Clone(cfg.Roles)
	if len(cfg.Roles) == 0 {
		cfg.Roles = auth.AdminRoles()
	}
	s, err := newSite(auth, "admin", common{cfg.Site, cfg.LoginURL, cfg.AllowIPs, cfg.Logger})
	if err := errors.Join(err, checkLink("AccountURL", cfg.AccountURL)); err != nil {
		return nil, err
	}
	s.roles, s.accountURL = cfg.Roles, cfg.AccountURL
	a := &admin{site: s, webhooks: cfg.Webhooks, rotate: cfg.Rotate}
	a.mount()
	return s, nil
}

var errNoAuth = errors.New("adminui: an Auth is required")

// admin is the pages for administrators.
type admin struct {
	*site
	webhooks Webhooks
	rotate   func(ctx context.Context) error
}

func (a *admin) mount() {
	a.get("/", func(v *visit) error { return v.redirect("activity") })
	a.page("activity", "Activity", a.activity)
	a.page("users", "Users", a.users)
	a.get("/user", a.user)
	a.post("/user/end-session", a.endSession)
	a.post("/user/end-all", a.endAll)
	a.page("locks", "Locks", a.locks)
	a.post("/unlock", a.unlock)
	if a.webhooks != nil {
		a.page("webhooks", "Webhooks", a.webhookList)
		a.get("/webhook", a.webhook)
		a.post("/webhook/redeliver", a.redeliver)
		a.post("/webhook/replay", a.replay)
	}
	a.page("keys", "Keys", a.keys)
	if a.rotate != nil {
		a.post("/keys/rotate", a.rotateKeys)
	}
	a.page("system", "System", a.system)
	a.post("/sign-out", (*visit).signOut)
}

// page adds a page to the menu.
func (a *admin) page(path, title string, h func(*visit) error) {
	a.menu = append(a.menu, item{Path: path, Title: title})
	a.get("/"+path, h)
}

// checkLink accepts a path of the same host or an absolute http(s) URL.
func checkLink(field, link string) error {
	u, err := url.Parse(strings.ReplaceAll(link, nextMark, "x"))
	switch {
	case link == "", err == nil && localPath(link):
		return nil
	case err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil:
		return nil
	}
	return fmt.Errorf("adminui: Config.%s must be a path or an absolute http or https URL", field)
}

// localPath reports whether every browser takes a reference for a path of the
// same host: a second slash, or a backslash, would begin a host name.
func localPath(ref string) bool {
	u, err := url.Parse(ref)
	plain := strings.IndexFunc(ref, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) < 0
	return err == nil && plain && u.Scheme == "" && u.Host == "" && strings.HasPrefix(ref, "/") && !strings.HasPrefix(ref, "//")
}

func siteName(auth *jwtauth.Auth, name string) string {
	u, err := url.Parse(auth.Issuer())
	if err != nil {
		return name
	}
	return cmp.Or(name, u.Host)
}
