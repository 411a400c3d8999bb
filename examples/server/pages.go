package main

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/go-jwtauth/jwtauth/adminui"
)

// mountPages adds pages for administrators at /admin/, for each user at
// /account/, and the form to sign in at /signin/. They guard themselves.
func (a *app) mountPages(mux *http.ServeMux, f file, log *slog.Logger) error {
	if !f.Admin.Enabled {
		return nil
	}
	const login = "/signin/?next={next}"
	admin, errAdmin := adminui.New(a.auth, adminui.Config{LoginURL: login, AccountURL: "/account/", AllowIPs: f.adminAddresses(),
		Webhooks: a.hooks, Rotate: a.rotate, Logger: log})
	account, errAccount := adminui.NewAccount(a.auth, adminui.AccountConfig{LoginURL: login, AllowIPs: f.AllowIPs, Logger: log})
	signIn, errSignIn := adminui.NewSignIn(a.auth, adminui.SignInConfig{Next: "/account/", AllowIPs: f.AllowIPs, Logger: log})
	if err := errors.Join(errAdmin, errAccount, errSignIn); err != nil {
		return err
	}
	for path, pages := range map[string]http.Handler{"/admin": admin, "/account": account, "/signin": signIn} {
		mux.Handle(path+"/", http.StripPrefix(path, pages))
	}
	a.note("pages: /admin/ for administrators (-admin creates one), /account/ for each user")
	return nil
}

// adminAddresses are those of the pages for administrators: the narrower list,
// where there is one.
func (f file) adminAddresses() []string {
	if len(f.Admin.AllowIPs) > 0 {
		return slices.Clone(f.Admin.AllowIPs)
	}
	return f.AllowIPs
}
