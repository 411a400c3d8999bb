// Command fiber mounts jwtauth on github.com/gofiber/fiber, through its adaptor.
package main

import (
	"log"
	"net/http"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/examples/internal/demo"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
)

func main() { log.Fatal(router(demo.Auth()).Listen("localhost:8080")) }

func router(auth *jwtauth.Auth) *fiber.App {
	app := fiber.New()
	app.All("/auth/*", adaptor.HTTPHandler(http.StripPrefix("/auth", auth.Handler())))
	app.Get("/hello", guard(auth.Require), hello)
	app.Get("/admin", guard(auth.RequireRole("administrator")), hello)
	return app
}

// guard makes middleware of net/http one of fiber, and keeps the identity.
func guard(middleware func(http.Handler) http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		err := adaptor.HTTPHandler(middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ := jwtauth.FromContext(r.Context())
			c.Locals("identity", id)
		})))(c)
		if c.Locals("identity") == nil {
			return err
		}
		return c.Next()
	}
}

func hello(c fiber.Ctx) error {
	return c.SendString("hello " + c.Locals("identity").(*jwtauth.Identity).UserID)
}
