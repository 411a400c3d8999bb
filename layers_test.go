package jwtauth_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/go-jwtauth/jwtauth"

// mayImport lists what single files of the root package may import beyond the
// rule for all of them.
var mayImport = map[string][]string{
	"keys.go":       {"github.com/lestrrat-go/jwx/v2"},
	"jwks.go":       {"net/http"},
	"wire.go":       {"net/http"},
	"handlers.go":   {"net/http"},
	"middleware.go": {"net/http"},
}

// allowed are the dependencies that the root package may have.
var allowed = []string{"golang.org/x/crypto", "golang.org/x/time", "golang.org/x/text", "golang.org/x/net/idna",
	"github.com/google/uuid", "github.com/rs/cors", module + "/internal"}

// The layers of the package are files, and what a file imports is its layer.
func TestEachFileImportsOnlyWhatItsLayerMay(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, path := range imports(t, file) {
			if !permitted(file, path) {
				t.Errorf("%s must not import %s", file, path)
			}
		}
	}
}

func permitted(file, path string) bool {
	for _, p := range mayImport[file] {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	if std := !strings.Contains(strings.SplitN(path, "/", 2)[0], "."); std {
		return path != "net/http" && !strings.HasPrefix(path, "net/http/")
	}
	for _, p := range allowed {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func TestInternalPackagesImportNothingOfOurs(t *testing.T) {
	walk(t, "internal", func(file string) {
		for _, path := range imports(t, file) {
			if strings.HasPrefix(path, module) && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s must not import %s", file, path)
			}
		}
	})
}

// A library that registered these would expose its host.
func TestNothingImportsProfilers(t *testing.T) {
	walk(t, ".", func(file string) {
		for _, path := range imports(t, file) {
			if path == "net/http/pprof" || path == "expvar" {
				t.Errorf("%s must not import %s", file, path)
			}
		}
	})
}

func walk(t *testing.T, dir string, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			visit(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
