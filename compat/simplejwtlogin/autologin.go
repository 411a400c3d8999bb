package simplejwtlogin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-jwtauth/jwtauth"
)

// autoLogin answers /autologin: a GET asks the person first, unless the host
// has said that it need not, and the page's form comes back as a POST.
func (c *call) autoLogin() (any, error) {
	if c.r.Method != http.MethodPost {
		asked, err := c.api.auth.ConfirmAutoLogin(c.w, c.r, jwtauth.AutoLoginPage{Token: c.jwt, Target: c.in.text("redirectUrl")})
		switch {
		case asked:
			return written{}, nil
		case err != nil:
			return nil, err
		}
	}
	if err := c.api.auth.CheckOrigin(c.r); err != nil {
		return nil, err
	}
	return c.finishAutoLogin(c.jwt)
}

// finishAutoLogin logs the browser in and sends it on its way.
func (c *call) finishAutoLogin(token string) (any, error) {
	g, location, err := c.api.auth.AutoLogin(c.r.Context(), token, c.in.text("redirectUrl"))
	if err != nil {
		return nil, err
	}
	if err := c.api.auth.SetCookies(c.w, c.r, g); err != nil {
		return nil, err
	}
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	if location == "" {
		return messageV3{true, "The browser is logged in."}, nil
	}
	to := redirect{c.forward(location), http.StatusFound}
	if c.r.Method == http.MethodPost {
		to.status = http.StatusSeeOther
	}
	return to, nil
}

// forward hands parameters on that the host has named.
func (c *call) forward(location string) string {
	query := url.Values{}
	for _, name := range c.api.cfg.AutoLoginForward {
		if value := c.in.text(name); value != "" {
			query.Set(name, value)
		}
	}
	return addQuery(location, query)
}

// failureTarget is where a browser goes that could not be logged in.
func failureTarget(page string, f *failure) string {
	return addQuery(page, url.Values{"error_message": {f.message}, "error_code": {strconv.Itoa(f.number)}})
}

// addQuery adds parameters to a URL, in front of its fragment.
func addQuery(target string, query url.Values) string {
	if len(query) == 0 {
		return target
	}
	target, fragment, hasFragment := strings.Cut(target, "#")
	sep := "?"
	if strings.Contains(target, "?") {
		sep = "&"
	}
	target += sep + query.Encode()
	if hasFragment {
		target += "#" + fragment
	}
	return target
}
