package jwtauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/internal/docblock"
)

// documentFiles are README.md and its like, and all of docs.
func documentFiles(t *testing.T) []string {
	t.Helper()
	files, err := docblock.Files("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples/server/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %v", files)
	}
	return files
}

func blocksOf(t *testing.T, file string) []docblock.Block {
	t.Helper()
	blocks, err := docblock.Blocks(file)
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// The Go in README.md and docs compiles.
func TestCodeOfDocumentsCompiles(t *testing.T) {
	compiler, err := docblock.NewCompiler(".", docblock.Packages(), docblock.Vars())
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range documentFiles(t) {
		for _, b := range blocksOf(t, file) {
			if b.Lang != "go" || b.Source() != "" || needsNested(b) {
				continue
			}
			checked++
			if err := compiler.Check(b); err != nil {
				t.Errorf("%s: %v", b.Where(), err)
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked only %d blocks", checked)
	}
}

// needsNested reports whether package examples has to check a block, since it uses
// what lives in a module of its own.
func needsNested(b docblock.Block) bool {
	uses, paths := docblock.Uses(b)
	nested := docblock.NestedPackages()
	return slices.ContainsFunc(uses, func(name string) bool { return nested[name] != "" }) ||
		slices.ContainsFunc(paths, func(path string) bool { return !standard(path) && path != module })
}

// What a document says is quoted from a file stands in that file.
func TestQuotedCodeIsThatOfTheFile(t *testing.T) {
	quotes := 0
	for _, file := range documentFiles(t) {
		for _, b := range blocksOf(t, file) {
			source := b.Source()
			if source == "" {
				continue
			}
			quotes++
			text, err := os.ReadFile(filepath.FromSlash(source))
			if err != nil {
				t.Errorf("%s: %v", b.Where(), err)
			} else if !strings.Contains(string(text), b.Text) {
				t.Errorf("%s: %s has other code", b.Where(), source)
			}
		}
	}
	if quotes == 0 {
		t.Error("no document quotes a file any more")
	}
}

// Links in documents lead to files and headings that exist, and links to the
// package documentation to names that exist.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	files := documentFiles(t)
	pages := map[string]docblock.Page{}
	for _, file := range files {
		page, err := docblock.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.ToSlash(file)] = page
	}
	for file, page := range pages {
		for _, link := range page.Links {
			if why := deadLink(t, pages, file, link); why != "" {
				t.Errorf("%s links to %s: %s", file, link, why)
			}
		}
	}
}

func deadLink(t *testing.T, pages map[string]docblock.Page, file, link string) string {
	if rest, ok := strings.CutPrefix(link, "https://pkg.go.dev/"+module); ok {
		return deadPackageLink(t, strings.TrimPrefix(rest, "/"))
	}
	if strings.Contains(link, ":") { // another site
		return ""
	}
	path, anchor, _ := strings.Cut(link, "#")
	target := file
	if path != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(file), path))
	}
	if _, err := os.Stat(target); err != nil {
		return "there is no such file"
	}
	if page, ok := pages[target]; anchor != "" && (!ok || !page.Anchors[anchor]) {
		return "there is no such heading"
	}
	return ""
}

func deadPackageLink(t *testing.T, link string) string {
	dir, name, _ := strings.Cut(link, "#")
	if dir == "" {
		dir = "."
	}
	p := declarations(t, dir)
	if len(p) == 0 {
		return "there is no such package"
	}
	if name != "" && !p.resolves(strings.Split(name, ".")) {
		return "there is no such name"
	}
	return ""
}

// pkgNames are what a package declares: constants, variables, functions and types,
// with the fields and methods of each and the name of their type.
type pkgNames map[string]map[string]string

// declarations returns those of the package in a folder, none if there is no Go.
func declarations(t *testing.T, dir string) pkgNames {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	p := pkgNames{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			p.declare(d)
		}
	}
	return p
}

func (p pkgNames) member(of, name, typ string) {
	if p[of] == nil {
		p[of] = map[string]string{}
	}
	if name != "" {
		p[of][name] = typ
	}
}

func (p pkgNames) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			p.member(d.Name.Name, "", "")
			return
		}
		p.member(typeName(d.Recv.List[0].Type), d.Name.Name, "")
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					p.member(n.Name, "", "")
				}
			case *ast.TypeSpec:
				p.declareType(s)
			}
		}
	}
}

func (p pkgNames) declareType(s *ast.TypeSpec) {
	p.member(s.Name.Name, "", "")
	var fields *ast.FieldList
	switch x := s.Type.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields = x.Methods
	default:
		return
	}
	for _, f := range fields.List {
		if len(f.Names) == 0 {
			p.member(s.Name.Name, typeName(f.Type), typeName(f.Type))
		}
		for _, n := range f.Names {
			p.member(s.Name.Name, n.Name, typeName(f.Type))
		}
	}
}

// typeName is the name of a type of the same package, without pointers and slices.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.IndexExpr:
		return typeName(e.X)
	}
	return ""
}

// resolves reports whether a path such as Config, Sessions, Grace leads somewhere.
func (p pkgNames) resolves(path []string) bool {
	members, ok := p[path[0]]
	if !ok || len(path) == 1 {
		return ok
	}
	typ, ok := members[path[1]]
	if !ok || len(path) == 2 {
		return ok
	}
	return p.resolves(append([]string{typ}, path[2:]...))
}

var dotted = regexp.MustCompile("`([A-Za-z]\\w*(?:\\.[A-Z]\\w*)+)")

// Dotted names in backticks exist: jwtauth.X, Auth.X, Config.X.Y, Sessions.Grace and
// so on, in every package of the repository.
func TestDocumentsNameWhatExists(t *testing.T) {
	packages := packagesByName(t)
	for _, file := range documentFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, m := range dotted.FindAllStringSubmatch(line, -1) {
				if !named(packages, strings.Split(m[1], ".")) {
					t.Errorf("%s:%d names %s, which does not exist", file, i+1, m[1])
				}
			}
		}
	}
}

func packagesByName(t *testing.T) map[string][]pkgNames {
	t.Helper()
	packages := map[string][]pkgNames{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "internal" || d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if p := declarations(t, path); len(p) > 0 {
			name := filepath.Base(path)
			if path == "." {
				name = "jwtauth"
			}
			packages[name] = append(packages[name], p)
			if path == filepath.Join("compat", "jwtauth") {
				packages["wpjwt"] = []pkgNames{p}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// named reports whether a path exists, or is not about these packages.
func named(packages map[string][]pkgNames, path []string) bool {
	if ps, ok := packages[path[0]]; ok {
		return slices.ContainsFunc(ps, func(p pkgNames) bool { return p.resolves(path[1:]) })
	}
	root := packages["jwtauth"][0]
	typ := root["Config"][path[0]] // as in Sessions.Grace
	known := len(root[typ]) > 0
	if known && root.resolves(append([]string{typ}, path[1:]...)) {
		return true
	}
	for _, ps := range packages {
		for _, p := range ps {
			if _, ok := p[path[0]]; ok {
				known = true
				if p.resolves(path) {
					return true
				}
			}
		}
	}
	return !known
}

var docLink = regexp.MustCompile(`\[\*?((?:[a-z]\w*\.)?[A-Z]\w*(?:\.[A-Z]\w*)?)\]`)

// The links in comments lead to names that exist: in the package itself, or in
// another one of ours.
func TestLinksOfCommentsLeadSomewhere(t *testing.T) {
	packages := packagesByName(t)
	checked := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		own := declarations(t, filepath.Dir(path))
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, group := range f.Comments {
			for _, m := range docLink.FindAllStringSubmatch(group.Text(), -1) {
				checked++
				if !linkResolves(packages, own, strings.Split(m[1], ".")) {
					t.Errorf("%s: a comment links to %s, which does not exist", path, m[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 500 {
		t.Errorf("checked only %d links", checked)
	}
}

func linkResolves(packages map[string][]pkgNames, own pkgNames, path []string) bool {
	if ast.IsExported(path[0]) {
		return own.resolves(path)
	}
	ps, ours := packages[path[0]]
	return !ours || slices.ContainsFunc(ps, func(p pkgNames) bool { return p.resolves(path[1:]) })
}

// README.md and the index of the guides name every guide.
func TestEveryGuideIsListed(t *testing.T) {
	guides, err := filepath.Glob("docs/guides/*.md")
	if err != nil || len(guides) < 10 {
		t.Fatalf("found %v, %v", guides, err)
	}
	for _, list := range []string{"README.md", "docs/guides/README.md"} {
		page, err := docblock.Read(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, guide := range guides {
			relative, err := filepath.Rel(filepath.Dir(list), guide)
			if err != nil {
				t.Fatal(err)
			}
			if guide != list && !slices.Contains(page.Links, filepath.ToSlash(relative)) {
				t.Errorf("%s does not list %s", list, guide)
			}
		}
	}
}
