// Command echo mounts jwtauth on github.com/labstack/echo, which wraps handlers
// and middleware of net/http by itself.
package main

import (
	"log"
	"net/http"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/demo"
	"github.com/labstack/echo/v4"
)

func main() { log.Fatal(router(demo.Auth()).Start("localhost:8080")) }

func router(auth *jwtauth.Auth) *echo.Echo {
	e := echo.New()
	e.Any("/auth/*", echo.WrapHandler(http.StripPrefix("/auth", auth.Handler())))
	e.GET("/hello", hello, echo.WrapMiddleware(auth.Require))
	e.GET("/admin", hello, echo.WrapMiddleware(auth.RequireRole("administrator")))
	return e
}

func hello(c echo.Context) error {
	id, _ := jwtauth.FromContext(c.Request().Context())
	return c.String(http.StatusOK, "hello "+id.UserID)
}
