package adminui

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/go-jwtauth/jwtauth"
)

// SignInConfig is what the form to sign in can be told.
type SignInConfig struct {
	// Next is where a browser goes that brings no address of its own: a path.
	// Required.
	Next string
	// Site, AllowIPs and Logger mean what those of [Config] mean. Rules of
	// [jwtauth.AccessConfig] for the route "login" are about the API and do
	// not count here.
	Site     string
	AllowIPs []string
	Logger   *slog.Logger
}

// NewSignIn returns a form that signs a browser in by name and password, for
// hosts that have none. It needs [jwtauth.CookieConfig.Enabled]. It does what
// POST /login does: it counts on the same limit and the same lock-out, asks the
// same gates, and leaves the same records. A form that another site made the
// browser send is refused, so nobody is signed in to somebody else's account
// (login CSRF).
//
// The parameter next says where to go afterwards: a path of the same host, and
// nothing else.
func NewSignIn(auth *jwtauth.Auth, cfg SignInConfig) (http.Handler, error) {
	if auth == nil {
		return nil, errNoAuth
	}
	var errs []error
	if !auth.UsesCookies() {
		errs = append(errs, errors.New("adminui: signing in needs Config.Cookies.Enabled of jwtauth"))
	}
	if !localPath(cfg.Next) {
		errs = append(errs, errors.New("adminui: SignInConfig.Next must be a path"))
	}
	s, err := newSite(auth, "sign-in", common{cfg.Site, "", cfg.AllowIPs, cfg.Logger})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	s.open = true
	in := &signIn{site: s, next: cfg.Next}
	s.get("/", in.show)
	s.post("/", in.login)
	s.post("/continue", in.goOn)
	return s, nil
}

type signIn struct {
	*site
	next string
}

// signInPage is the form.
type signInPage struct {
	Next, Login, Error string
	// Continue says that this browser has signed in before.
	Continue bool
}

func (s *signIn) show(v *visit) error {
	q, err := v.query("next")
	if err != nil {
		return err
	}
	return v.render("signin", "", "Sign in", signInPage{Next: s.target(q), Continue: v.auth.HasRefreshCookie(v.r)})
}

// target is where to go: what was asked for if it is a path of this host.
func (s *signIn) target(f *fields) string {
	if next := f.raw("next"); localPath(next) {
		return next
	}
	return s.next
}

func (s *signIn) login(v *visit) error {
	f, err := v.form("login", "password", "next")
	if err != nil {
		return err
	}
	cred := jwtauth.Credentials{Login: f.text("login"), Password: f.raw("password")}
	return s.enter(v, f, jwtauth.LimitLogin, jwtauth.EventLogin, func() error {
		g, err := v.auth.Login(v.r.Context(), cred)
		if err != nil {
			return err
		}
		return v.auth.SetCookies(v.w, v.r, g)
	})
}

// goOn refreshes a login that has expired.
func (s *signIn) goOn(v *visit) error {
	f, err := v.form("next")
	if err != nil {
		return err
	}
	return s.enter(v, f, jwtauth.LimitRefresh, jwtauth.EventRefresh, func() error {
		_, err := v.auth.RefreshCookies(v.w, v.r)
		return err
	})
}

// enter counts a request, lets it in, and leads on or back to the form.
func (s *signIn) enter(v *visit, f *fields, limit jwtauth.Limit, event string, open func() error) error {
	var err error
	v.r, _, err = v.gate.Admit(v.w, v.r, jwtauth.Admission{Endpoint: v.name, Limit: limit})
	if err == nil {
		err = open()
	}
	err = v.gate.Finish(v.r, v.name, jwtauth.Outcome{Event: event, Err: err})
	if err == nil {
		v.w.Header().Set("Location", s.target(f))
		v.w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	status, message := v.explain(err)
	if status >= 500 {
		return err
	}
	v.refuse(err)
	return v.write(status, "signin", "", "Sign in", signInPage{Next: s.target(f), Login: f.text("login"), Error: message})
}
