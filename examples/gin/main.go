// Command gin mounts jwtauth on github.com/gin-gonic/gin.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/demo"
)

func main() { log.Fatal(router(demo.Auth()).Run("localhost:8080")) }

func router(auth *jwtauth.Auth) *gin.Engine {
	r := gin.New()
	r.Any("/auth/*path", gin.WrapH(http.StripPrefix("/auth", auth.Handler())))
	r.GET("/hello", guard(auth.Require), hello)
	r.GET("/admin", guard(auth.RequireRole("administrator")), hello)
	return r
}

// guard makes middleware of net/http one of gin.
func guard(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c.Request, passed = r, true })
		if middleware(next).ServeHTTP(c.Writer, c.Request); !passed {
			c.Abort()
		}
	}
}

func hello(c *gin.Context) {
	id, _ := jwtauth.FromContext(c.Request.Context())
	c.String(http.StatusOK, "hello %s", id.UserID)
}
