package jwtauth_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The layers of the root package are files, and what separates them is what
// they import. The rules are in this file; a file that is not mentioned in
// grants gets nothing of what is restricted.

const module = "github.com/go-jwtauth/jwtauth"

// A pattern is an import path, or one followed by /... for all below it too.
var (
	// never is imported by no file, tests included: both register handlers
	// on the host's default mux by being linked.
	never = []string{"net/http/pprof", "expvar"}

	// unsafe is imported by no code that ships: secrets come from crypto/rand
	// alone, and memory stays what Go says it is.
	unsafe = []string{"math/rand/...", "unsafe", "C", "plugin"}

	// dependencies are the modules that the root module may use.
	dependencies = []string{
		"github.com/google/uuid",
		"github.com/lestrrat-go/jwx/v2/...",
		"github.com/rs/cors",
		"golang.org/x/crypto/...",
		"golang.org/x/net/idna",
		"golang.org/x/text/...",
		"golang.org/x/time/rate",
	}

	// restricted needs a grant in the root package.
	restricted = []string{
		"net", "net/http/...", "net/rpc/...", "net/smtp", "github.com/rs/cors", // HTTP is a layer of its own
		"os", "os/...", "io/ioutil", "database/sql/...", "syscall", // state belongs to stores
		jwx,
	}

	// grants are the exceptions, by file.
	grants = []struct {
		why   string
		files []string
		may   []string
	}{
		{"HTTP", []string{"handlers.go", "recoveryhandlers.go", "audithandlers.go", "middleware.go", "wire.go", "cookie.go", "browser.go", "accessgate.go", "protect.go", "explain.go"}, []string{"net/http"}},
		{"HTTP: CORS", []string{"cors.go"}, []string{"net/http", "github.com/rs/cors"}},
		{"mechanism: keys of others, from a URL", []string{"jwks.go"}, []string{"net/http"}},
		{"mechanism: keys in files", []string{"keyfiles.go"}, []string{"os", "os/..."}},
		{"mechanism: keys", []string{"keys.go"}, []string{jwx}},
	}
)

// documents has data alone, and is imported as an internal package is.
const documents = "docs/openapi"

// jwx is confined to one file, in the whole module, so that it can be exchanged.
const jwx = "github.com/lestrrat-go/jwx/..."

// violation says which rule a file breaks by an import; "" if none. file is
// relative to the root of the module, with slashes.
func violation(file, imported string) string {
	shipped := !strings.HasSuffix(file, "_test.go")
	switch {
	case matches(imported, never):
		return "no file imports this"
	case !shipped:
		return ""
	case matches(imported, unsafe):
		return "no code that ships imports this"
	case ours(imported):
		return wrongDirection(path.Dir(file), imported)
	case !standard(imported) && !matches(imported, dependencies):
		return "not a dependency of the root module"
	case matches(imported, []string{jwx}) && file != "keys.go":
		return "keys.go alone imports this"
	case path.Dir(file) == "." && matches(imported, restricted) && !granted(file, imported):
		return "not in this layer"
	}
	return ""
}

// wrongDirection says why a folder may not import a package of ours.
func wrongDirection(dir, imported string) string {
	target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	leaf := strings.HasPrefix(target, "internal/") || target == documents
	switch {
	case dir == "." && !leaf:
		return "the root imports nothing of ours but internal packages"
	case strings.HasPrefix(dir, "internal/"), dir == documents:
		return "an internal package imports nothing of ours"
	case target == "" || leaf || strings.HasPrefix(target, dir+"/"):
		return ""
	}
	return "packages below the root don't import each other"
}

func granted(file, imported string) bool {
	for _, g := range grants {
		if slices.Contains(g.files, file) && matches(imported, g.may) {
			return true
		}
	}
	return false
}

func matches(imported string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		tree, all := strings.CutSuffix(p, "/...")
		return imported == tree || all && strings.HasPrefix(imported, tree+"/")
	})
}

func ours(imported string) bool { return matches(imported, []string{module + "/..."}) }

// standard tells the standard library by the missing dot in the first element.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestLayers(t *testing.T) {
	files := sourceFiles(t)
	if !slices.Contains(files, "ratelimit.go") || !slices.Contains(files, "layers_test.go") {
		t.Fatalf("the sources of the root package are not among %d files", len(files))
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := violation(file, imported); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
}

// sourceFiles lists the Go files of this module, without those of nested ones.
func sourceFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(name):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skipped reports whether the go command would not look into a folder either.
func skipped(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return !errors.Is(err, fs.ErrNotExist)
}

func TestLayerRules(t *testing.T) {
	for _, tc := range []struct {
		name     string
		file     string
		imported string
		ok       bool
	}{
		{"standard library allowed", "login.go", "crypto/sha256", true},
		{"net/netip allowed in words", "client.go", "net/netip", true},
		{"net/http allowed in the HTTP layer", "handlers.go", "net/http", true},
		{"net/http refused in a mechanism", "ratelimit.go", "net/http", false},
		{"net/http refused in a file that is not listed", "brandnew.go", "net/http", false},
		{"net/http/httptest refused in the HTTP layer", "handlers.go", "net/http/httptest", false},
		{"net/http allowed in a package of its own", "webhook/send.go", "net/http", true},
		{"name of an HTTP file gives no right elsewhere", "internal/x/handlers.go", "net/http", true},
		{"sockets refused in the service", "login.go", "net", false},
		{"sockets refused for keys of others", "jwks.go", "net", false},
		{"files refused in the service", "login.go", "os", false},
		{"files allowed for key files", "keyfiles.go", "os", true},
		{"databases refused in the root", "memstore.go", "database/sql", false},
		{"databases allowed in a package of their own", "sqlstore/store.go", "database/sql", true},
		{"jwx allowed in keys.go", "keys.go", "github.com/lestrrat-go/jwx/v2/jwk", true},
		{"jwx refused elsewhere", "token.go", "github.com/lestrrat-go/jwx/v2/jws", false},
		{"jwx refused in a file of that name elsewhere", "webhook/keys.go", "github.com/lestrrat-go/jwx/v2/jwk", false},
		{"another version of jwx refused", "keys.go", "github.com/lestrrat-go/jwx/v3/jwk", false},
		{"listed dependency allowed", "password.go", "golang.org/x/crypto/argon2", true},
		{"unlisted dependency refused", "password.go", "github.com/acme/argon", false},
		{"unlisted dependency refused in a package", "webhook/send.go", "github.com/acme/http", false},
		{"unlisted part of x/net refused", "jwks.go", "golang.org/x/net/http2", false},
		{"CORS library refused outside cors.go", "handlers.go", "github.com/rs/cors", false},
		{"CORS library allowed in cors.go", "cors.go", "github.com/rs/cors", true},
		{"internal package allowed in the root", "wire.go", module + "/internal/strictjson", true},
		{"adapter refused in the root", "login.go", module + "/sqlstore", false},
		{"documents allowed in the root", "handlers.go", module + "/docs/openapi", true},
		{"documents allowed in a dialect", "compat/jwtauth/api.go", module + "/docs/openapi", true},
		{"root refused in the documents", "docs/openapi/openapi.go", module, false},
		{"root refused in itself", "login.go", module, false},
		{"root allowed in an adapter", "sqlstore/store.go", module, true},
		{"internal package allowed in an adapter", "sqlstore/store.go", module + "/internal/strictjson", true},
		{"own part allowed in an adapter", "sqlstore/store.go", module + "/sqlstore/schema", true},
		{"adapter refused in an adapter", "sqlstore/store.go", module + "/webhook", false},
		{"dialect refused in a dialect", "compat/jwtauth/api.go", module + "/compat/simplejwtlogin", false},
		{"adapter allowed in the test of an adapter", "sqlstore/store_test.go", module + "/storetest", true},
		{"root refused in an internal package", "internal/strictjson/a.go", module, false},
		{"internal package refused in an internal package", "internal/a/a.go", module + "/internal/b", false},
		{"module with the same beginning is not ours", "login.go", module + "-extras", false},
		{"predictable numbers refused", "token.go", "math/rand/v2", false},
		{"predictable numbers refused in a package", "webhook/send.go", "math/rand", false},
		{"predictable numbers allowed in a test", "ratelimit_test.go", "math/rand/v2", true},
		{"unsafe refused", "token.go", "unsafe", false},
		{"pprof refused", "handlers.go", "net/http/pprof", false},
		{"pprof refused in a package", "adminui/pages.go", "net/http/pprof", false},
		{"pprof refused in a test", "api_test.go", "net/http/pprof", false},
		{"expvar refused", "webhook/send.go", "expvar", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if why := violation(tc.file, tc.imported); (why == "") != tc.ok {
				t.Errorf("%s imports %s: %q", tc.file, tc.imported, why)
			}
		})
	}
}
