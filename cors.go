package jwtauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/rs/cors"
)

// CORSConfig says which web pages of other origins may call the API.
//
// By default any may: tokens travel in the Authorization header, which no page
// gets from a browser by itself, so this gives nothing away. With cookies on,
// only the listed origins may, and none where there is no list.
type CORSConfig struct {
	// Off answers without any CORS header: the API serves its own origin, or
	// the host does this itself.
	Off bool
	// Origins are the only ones that may call, compared exactly, such as
	// "https://app.example.com". With cookies on they may send them, and the
	// guard against requests from other sites trusts them.
	Origins []string
}

func (cfg CORSConfig) withDefaults() CORSConfig {
	cfg.Origins = slices.Clone(cfg.Origins)
	return cfg
}

func (cfg CORSConfig) validate(allowHTTP bool) error {
	_, err := newOrigins("CORS.Origins", cfg.Origins, allowHTTP)
	if cfg.Off && len(cfg.Origins) > 0 {
		err = errors.Join(err, errors.New("jwtauth: Config.CORS has Origins and is Off"))
	}
	return err
}

// corsPolicy keeps the library that decides out of the files of other layers.
type corsPolicy struct{ *cors.Cors }

// newCORS returns nil where no CORS header is ever sent.
func newCORS(cfg Config) *corsPolicy {
	if cfg.CORS.Off || cfg.Cookies.Enabled && len(cfg.CORS.Origins) == 0 {
		return nil
	}
	// X-WP-Nonce is ignored; scripts written for WordPress send it.
	options := cors.Options{
		AllowedMethods:   []string{"GET", "HEAD", "POST", "PUT", "DELETE"},
		AllowedHeaders:   []string{"Authorization", "Content-Type", "X-WP-Nonce", "X-Device-ID", "X-Device-Token", "X-SSO-Site-Key", "X-SSO-Signature"},
		ExposedHeaders:   []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "WWW-Authenticate"},
		AllowCredentials: cfg.Cookies.Enabled,
		MaxAge:           600, // seconds; browsers cap it
	}
	if allowed, _ := newOrigins("", cfg.CORS.Origins, true); len(allowed) > 0 {
		options.AllowOriginFunc = func(origin string) bool { return slices.Contains(allowed, origin) }
	} else {
		options.AllowedOrigins = []string{"*"}
	}
	return &corsPolicy{cors.New(options)}
}

// CORS answers preflight requests and sets the headers that let pages of other
// origins call, as [CORSConfig] says. [Auth.Handler] has it already. Put it
// around a router that mounts [Auth.Routes], or around handlers of the host's
// own that such pages call.
func (a *Auth) CORS(next http.Handler) http.Handler {
	if a.cors == nil {
		return next
	}
	return a.cors.Handler(next)
}
