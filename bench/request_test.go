package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ginjwt "github.com/appleboy/gin-jwt/v3"
	auth0 "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/gin-gonic/gin"
	chijwt "github.com/go-chi/jwtauth/v5"
	pkgzauth "github.com/go-pkgz/auth/v2"
	"github.com/go-pkgz/auth/v2/avatar"
	"github.com/go-pkgz/auth/v2/provider"
	pkgztoken "github.com/go-pkgz/auth/v2/token"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/go-jwtauth/jwtauth"
)

type contextKey struct{}

// BenchmarkRequest is a request that is authenticated: the handler reads who
// calls. Every peer checks signature, algorithm, issuer, audience and times, and
// asks for a revoked id, where it lets us.
func BenchmarkRequest(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		serve(b, handler(func(*http.Request) string { return "x" }), "Authorization", "x")
	})
	b.Run("one context value", func(b *testing.B) {
		next := handler(func(r *http.Request) string {
			id, _ := r.Context().Value(contextKey{}).(*jwtauth.Identity)
			return id.UserID
		})
		made := &jwtauth.Identity{UserID: "1"}
		serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, made)))
		}), "Authorization", "x")
	})
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			k := newKit(b, alg)
			bearer := "Bearer " + k.token
			b.Run("jwtauth", func(b *testing.B) { serve(b, k.jwtauth(), "Authorization", bearer) })
			b.Run("golang-jwt", func(b *testing.B) { serve(b, k.golangJWT(), "Authorization", bearer) })
			b.Run("chi-jwtauth", func(b *testing.B) { serve(b, k.chi(), "Authorization", bearer) })
			b.Run("auth0", func(b *testing.B) { serve(b, k.auth0(b), "Authorization", bearer) })
			b.Run("gin-jwt", func(b *testing.B) { serve(b, k.gin(b), "Authorization", bearer) })
			b.Run("echo-jwt", func(b *testing.B) { serve(b, k.echo(), "Authorization", bearer) })
			if alg == "HS256" { // all that it can do
				h, token := k.pkgz(b)
				b.Run("go-pkgz", func(b *testing.B) { serve(b, h, "X-JWT", token) })
			}
		})
	}
}

// BenchmarkScaling is the path of a token that was seen before, to be run with
// -cpu 1,2.
func BenchmarkScaling(b *testing.B) {
	k := newKit(b, "ES256")
	var headers [][]string
	for _, token := range k.issue(b, 64) {
		headers = append(headers, []string{"Bearer " + token})
	}
	// The second says what the machine itself gives, with the same allocations.
	next, made := handler(func(*http.Request) string { return "x" }), &jwtauth.Identity{UserID: "1"}
	for name, h := range map[string]http.Handler{
		"jwtauth": k.jwtauth(),
		"one context value": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, made)))
		}),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, header := range headers {
				r.Header["Authorization"] = header
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				for i := 0; pb.Next(); i++ {
					r.Header["Authorization"] = headers[i%len(headers)]
					h.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		})
	}
}

func (k *kit) jwtauth() http.Handler {
	return k.auth.Require(handler(func(r *http.Request) string {
		id, _ := jwtauth.FromContext(r.Context())
		return id.UserID
	}))
}

// claims are ours, as one would type them for golang-jwt.
type claims struct {
	jwt.RegisteredClaims
	SessionID  string   `json:"sid"`
	Generation int64    `json:"gen"`
	Version    int64    `json:"ver"`
	Roles      []string `json:"roles"`
}

func (k *kit) parser() *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{k.alg}), jwt.WithIssuer(issuer), jwt.WithAudience(issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
}

func (k *kit) keyFunc(t *jwt.Token) (any, error) {
	if t.Header["kid"] != "key-1" {
		return nil, errors.New("unknown key")
	}
	return k.verify, nil
}

// golangJWT is the middleware that one writes by hand.
func (k *kit) golangJWT() http.Handler {
	parser, revoked := k.parser(), &revokedIDs{ids: map[string]time.Time{}}
	next := handler(func(r *http.Request) string {
		c, _ := r.Context().Value(contextKey{}).(*claims)
		return c.Subject
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c := new(claims)
		if _, err := parser.ParseWithClaims(text, c, k.keyFunc); err != nil || revoked.has(c.ID) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, c)))
	})
}

func (k *kit) chi() http.Handler {
	ja := chijwt.New(k.alg, k.sign, k.verify, jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(issuer), jwxjwt.WithRequiredClaim("exp"))
	return chijwt.Verifier(ja)(chijwt.Authenticator(ja)(handler(func(r *http.Request) string {
		t, _, _ := chijwt.FromContext(r.Context())
		return t.Subject()
	})))
}

func (k *kit) auth0(b testing.TB) http.Handler {
	b.Helper()
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return k.verify, nil }),
		validator.WithAlgorithm(validator.SignatureAlgorithm(k.alg)),
		validator.WithIssuer(issuer), validator.WithAudience(issuer))
	check(b, err)
	m, err := auth0.New(auth0.WithValidator(v))
	check(b, err)
	return m.CheckJWT(handler(func(r *http.Request) string {
		c, err := auth0.GetClaims[*validator.ValidatedClaims](r.Context())
		if err != nil {
			return ""
		}
		return c.RegisteredClaims.Subject
	}))
}

func (k *kit) gin(b testing.TB) http.Handler {
	b.Helper()
	gin.SetMode(gin.ReleaseMode)
	m, err := ginjwt.New(&ginjwt.GinJWTMiddleware{
		Realm: "bench", Key: []byte("unused, since there is a KeyFunc"), SigningAlgorithm: k.alg, IdentityKey: "sub",
		KeyFunc:      k.keyFunc,
		ParseOptions: []jwt.ParserOption{jwt.WithValidMethods([]string{k.alg}), jwt.WithIssuer(issuer), jwt.WithAudience(issuer)},
	})
	check(b, err)
	engine := gin.New()
	engine.GET("/", m.MiddlewareFunc(), func(c *gin.Context) {
		if ginjwt.ExtractClaims(c)["sub"] == "" {
			panic("no caller")
		}
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
	})
	return engine
}

func (k *kit) echo() http.Handler {
	parser := k.parser()
	e := echo.New()
	e.GET("/", func(c echo.Context) error {
		t, _ := c.Get("user").(*jwt.Token)
		if t.Claims.(*claims).Subject == "" {
			panic("no caller")
		}
		return c.NoContent(http.StatusNoContent)
	}, echojwt.WithConfig(echojwt.Config{
		ParseTokenFunc: func(_ echo.Context, text string) (any, error) {
			return parser.ParseWithClaims(text, new(claims), k.keyFunc)
		},
	}))
	return e
}

// pkgz issues its own token: it reads the user from a claim of its own.
func (k *kit) pkgz(b *testing.B) (http.Handler, string) {
	b.Helper()
	s := pkgzauth.NewService(pkgzauth.Opts{
		SecretReader:  pkgztoken.SecretFunc(func(string) (string, error) { return string(k.sign.([]byte)), nil }),
		TokenDuration: time.Hour, CookieDuration: time.Hour, Issuer: issuer, URL: issuer, AvatarStore: avatar.NewNoOp(),
		AudienceReader: pkgztoken.AudienceFunc(func() ([]string, error) { return []string{issuer}, nil }),
	})
	s.AddDirectProvider("bench", provider.CredCheckerFunc(func(string, string) (bool, error) { return false, nil }))
	token, err := s.TokenService().Token(pkgztoken.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Audience: jwt.ClaimStrings{issuer}, ID: "0b7f5c2e-7d3a-4d1c-9a55-2f0f3d7f1c11",
			ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)), IssuedAt: jwt.NewNumericDate(time.Now())},
		User: &pkgztoken.User{ID: "bench_1", Name: "alice", Role: "subscriber"},
	})
	check(b, err)
	m := s.Middleware()
	return m.Auth(handler(func(r *http.Request) string {
		u, err := pkgztoken.GetUserInfo(r)
		if err != nil {
			return ""
		}
		return u.ID
	})), token
}

// jwxOptions are what jwt.Parse needs to check what we check.
func (k *kit) jwxOptions() []jwxjwt.ParseOption {
	return []jwxjwt.ParseOption{jwxjwt.WithKey(jwa.SignatureAlgorithm(k.alg), k.verify), jwxjwt.WithValidate(true),
		jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(issuer), jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithRequiredClaim("jti")}
}
