package docblock

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Compiler checks that blocks compile, by the types alone: nothing is built.
type Compiler struct {
	// Packages are what a fragment may use without importing it, by the name
	// that it uses.
	Packages map[string]string
	// Vars are the variables that a fragment is given, beside those that its
	// note names, with their types.
	Vars map[string]string

	fset   *token.FileSet
	export map[string]string // import path → file with what the package exports
	from   types.Importer
}

// NewCompiler asks the go command, in the folder dir, for the packages that blocks
// may use: those of packages, those that a block imports by itself, and theirs.
func NewCompiler(dir string, packages, vars map[string]string, further ...string) (*Compiler, error) {
	c := &Compiler{Packages: packages, Vars: vars, fset: token.NewFileSet(), export: map[string]string{}}
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}
	args = append(args, slices.Sorted(maps.Values(packages))...)
	cmd := exec.Command("go", append(args, further...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.export[path] = file
	}
	c.from = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		if c.export[path] == "" {
			return nil, fmt.Errorf("%s is not among the packages of this test", path)
		}
		return os.Open(c.export[path])
	})
	return c, nil
}

// Check reports what is wrong with a block of Go. What is declared and not used is
// fine in a fragment, since it goes on elsewhere.
func (c *Compiler) Check(b Block) error {
	src, whole := c.source(b)
	file, err := parser.ParseFile(c.fset, b.File, src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var errs []error
	cfg := types.Config{Importer: c.from, Error: func(err error) {
		var te types.Error
		if !errors.As(err, &te) || whole || !te.Soft {
			errs = append(errs, err)
		}
	}}
	_, err = cfg.Check("doc", c.fset, []*ast.File{file}, nil)
	if len(errs) == 0 && whole {
		return err
	}
	return errors.Join(errs...)
}

// source makes a file of a block: as it is if it is one, else with a package, and
// in a function if it is not made of declarations. Errors show the lines of the
// document.
func (c *Compiler) source(b Block) (src string, whole bool) {
	line := fmt.Sprintf("//line %s:%d\n", filepath.Base(b.File), b.Line)
	if strings.HasPrefix(b.Text, "package ") || strings.Contains(b.Text, "\npackage ") {
		return line + b.Text, true
	}
	var head strings.Builder
	head.WriteString("package doc\n")
	for _, name := range slices.Sorted(maps.Keys(c.Packages)) {
		fmt.Fprintf(&head, "import %s %s\n", name, strconv.Quote(c.Packages[name]))
	}
	vars := maps.Clone(c.Vars)
	maps.Copy(vars, b.Vars())
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package doc\n"+b.Text, 0); err == nil {
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			fmt.Fprintf(&head, "var %s %s\n", name, vars[name])
		}
		return head.String() + line + b.Text, false
	}
	head.WriteString("func _(")
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&head, "%s %s, ", name, vars[name])
	}
	return head.String() + ") {\n{\n" + line + b.Text + "\n}\n}\n", false
}

// Uses returns the names of packages in a fragment, or the paths that a whole file
// imports.
func Uses(b Block) (names, paths []string) {
	for _, wrap := range []string{"%s", "package doc\n%s", "package doc\nfunc _() {\n%s\n}"} {
		f, err := parser.ParseFile(token.NewFileSet(), "", fmt.Sprintf(wrap, b.Text), parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			paths = append(paths, path)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok {
					names = append(names, x.Name)
				}
			}
			return true
		})
		break
	}
	for _, typ := range b.Vars() {
		if name, _, ok := strings.Cut(strings.TrimLeft(typ, "*[]"), "."); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), paths
}
