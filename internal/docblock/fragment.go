package docblock

// Module is where the packages of this repository are.
const Module = "github.com/go-jwtauth/jwtauth"

// Packages returns what a fragment may use without importing it, by name, as far as
// the root module goes.
func Packages() map[string]string {
	return map[string]string{
		"context": "context", "sql": "database/sql", "errors": "errors", "fmt": "fmt", "hex": "encoding/hex", "log": "log",
		"slog": "log/slog", "http": "net/http", "netip": "net/netip", "os": "os", "signal": "os/signal", "syscall": "syscall",
		"testing": "testing", "time": "time", "texttemplate": "text/template", "htmltemplate": "html/template",

		"jwtauth": Module, "sqlstore": Module + "/sqlstore", "webhook": Module + "/webhook",
		"adminui": Module + "/adminui", "storetest": Module + "/storetest", "authtest": Module + "/authtest", "compat": Module + "/compat",
		"wpjwt": Module + "/compat/jwtauth", "simplejwtlogin": Module + "/compat/simplejwtlogin",
	}
}

// NestedPackages returns those in modules of their own.
func NestedPackages() map[string]string {
	return map[string]string{
		"redisstore": Module + "/redisstore", "pgfeed": Module + "/pgfeed", "smtpmail": Module + "/smtpmail",
		"otelauth": Module + "/otelauth", "ownusers": Module + "/examples/ownusers", "chi": "github.com/go-chi/chi/v5",
	}
}

// Vars returns the variables that every fragment is given, with their types.
func Vars() map[string]string {
	return map[string]string{
		"auth": "*jwtauth.Auth", "cfg": "jwtauth.Config", "ctx": "context.Context", "keys": "*jwtauth.KeySet",
		"mux": "*http.ServeMux", "r": "*http.Request", "w": "http.ResponseWriter", "db": "*sql.DB", "secret": "[]byte", "token": "string",
		"dispatcher": "*webhook.Dispatcher", "hello": "http.HandlerFunc", "sendSMS": "func(number, text string)",
	}
}
