package jwtauth_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns the text between a heading and the next one.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(readme(t), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// rows returns the cells of the first table in text, without its head.
func rows(text string) [][]string {
	var table [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if table != nil {
				break
			}
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i, c := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|"))
		}
		table = append(table, cells)
	}
	return table[2:]
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

// quoted returns what stands in backticks.
func quoted(cell string) []string {
	var list []string
	for _, m := range inBackticks.FindAllStringSubmatch(cell, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestReadmeProgramIsTheQuickstart(t *testing.T) {
	file, err := os.ReadFile("examples/quickstart/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(section(t, "A whole program"), "```go\n")
	program, _, found := strings.Cut(rest, "```\n")
	if !found || program != string(file) {
		t.Errorf("README.md shows another program than examples/quickstart/main.go:\n%s", program)
	}
	if n := strings.Count(program, "\n"); n > 20 {
		t.Errorf("the program has %d lines, more than 20", n)
	}
}

func TestReadmeListsTheRoutes(t *testing.T) {
	a, _ := newAuth(t)
	var want, got [][2]string
	for _, r := range a.Routes() {
		want = append(want, [2]string{r.Name, r.Method + " " + r.Path})
	}
	for _, row := range rows(section(t, "Routes")) {
		got = append(got, [2]string{strings.Trim(row[0], "`"), strings.Trim(row[1], "`")})
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md lists\n%v, the routes are\n%v", got, want)
	}
}

// The members and the limit of each answer are the ones in the table.
func TestReadmeListsTheAnswers(t *testing.T) {
	a, _, box := newMailAuth(t, func(cfg *jwtauth.Config) {
		cfg.Limits, cfg.SSO, cfg.Verification.URL = jwtauth.LimitConfig{}, ssoConfig(t), "https://app.example.test/verify"
	})
	h := a.Handler()
	register(t, a, "alice")
	exchange := exchangeFor(t, newRemote(t), "u")
	register(t, a, "erin")
	if err := a.ResendVerification(bg, "erin"); err != nil {
		t.Fatal(err)
	}
	mail, _ := box.last(t, a, jwtauth.MailVerify)
	other := login(t, a, "alice").Session.ID
	grant := login(t, a, "alice")
	admin := register(t, a, "root1").User.ID
	if err := a.SetRoles(bg, admin, "administrator"); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"audit": login(t, a, "root1").AccessToken}
	bodies := map[string]any{
		"token":        object{"username": "alice", "password": testPassword},
		"login":        object{"email": "alice@example.test", "password": testPassword},
		"register":     object{"username": "bob", "email": "bob@example.test", "password": testPassword, "name": "Bob"},
		"refresh":      object{"refresh_token": login(t, a, "alice").RefreshToken},
		"revoke":       object{"refresh_token": login(t, a, "alice").RefreshToken},
		"revoke-alias": object{"refresh_token": login(t, a, "alice").RefreshToken},
		"change-password": object{"current_password": testPassword, "new_password": "another long pass phrase",
			"token": register(t, a, "carol").AccessToken},
		"delete-me":           object{"token": register(t, a, "dave").AccessToken},
		"forgot-password":     object{"login": "nobody"},
		"reset-password":      object{"login": "grace", "password": newPassword, "token": forgetNew(t, a, box, "grace")},
		"verify-email":        object{"login": "erin", "token": must(url.Parse(mail.Data.Link))(t).Query().Get("token")},
		"resend-verification": object{"login": "nobody"},
		"sso-exchange":        object{"site_key": exchange.SiteKey, "token": exchange.Token, "signature": exchange.Signature},
	}
	above := ""
	for _, row := range rows(section(t, "Routes")) {
		name := strings.Trim(row[0], "`")
		method, path, _ := strings.Cut(strings.Trim(row[1], "`"), " ")
		q := request{method: method, path: strings.Replace(path, "{id}", other, 1), body: bodies[name]}
		if bodies[name] == nil {
			q.token = cmp.Or(tokens[name], grant.AccessToken)
		}
		if name == "audit" || name == "activity" {
			q.path += "?limit=1" // of several pages
		}
		r := send(t, h, q)
		if r.status != 200 {
			t.Errorf("%s answered %d %s", name, r.status, r.text)
			continue
		}
		var got []string
		for member := range r.body {
			got = append(got, member)
		}
		want := quoted(row[3])
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s answers %v, README.md says %v", name, got, want)
		}
		limit := leadingNumber.FindString(row[4])
		if row[4] == "the same bucket" {
			limit = above
		}
		above = limit
		if r.header.Get("X-RateLimit-Limit") != limit {
			t.Errorf("%s has the limit %q, README.md says %q", name, r.header.Get("X-RateLimit-Limit"), limit)
		}
	}
}

// forgetNew asks for a new password of a new account.
func forgetNew(t *testing.T, a *jwtauth.Auth, box *postbox, name string) string {
	t.Helper()
	register(t, a, name)
	return forget(t, a, box, name, jwtauth.DeliveryLink)
}

var leadingNumber = regexp.MustCompile(`^[0-9]*`)

func TestReadmeListsTheErrors(t *testing.T) {
	declared := errorCodes(t)
	listed := map[string]string{}
	for _, row := range rows(section(t, "Errors")) {
		code, name := strings.Trim(row[0], "`"), strings.Trim(row[2], "`")
		listed[code] = name
		status := jwtauth.Status(&jwtauth.Error{Code: code})
		if strconv.Itoa(status) != row[1] {
			t.Errorf("%s is %d, README.md says %s", code, status, row[1])
		}
		if want := declared[code]; ast.IsExported(want) && name != want || !ast.IsExported(want) && name != "" {
			t.Errorf("%s is %s in Go, README.md says %q", code, want, name)
		}
	}
	for code := range declared {
		if _, ok := listed[code]; !ok {
			t.Errorf("README.md lacks %s", code)
		}
	}
	for code := range listed {
		if _, ok := declared[code]; !ok {
			t.Errorf("README.md has %s, which does not exist", code)
		}
	}
}

// errorCodes returns the codes that the source declares, with the variable that
// has each: some belong to the HTTP layer and are not exported.
func errorCodes(t *testing.T) map[string]string {
	t.Helper()
	codes := map[string]string{jwtauth.Code(os.ErrInvalid): "errInternal"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, v := range spec.Values {
					if code := codeOf(t, v); code != "" {
						codes[code] = spec.Names[i].Name
					}
				}
			}
			return true
		})
	}
	if len(codes) < 20 {
		t.Fatalf("found only %d codes in the source", len(codes))
	}
	return codes
}

// codeOf returns the Code of an expression &Error{Code: "…"}.
func codeOf(t *testing.T, e ast.Expr) string {
	t.Helper()
	u, ok := e.(*ast.UnaryExpr)
	if !ok {
		return ""
	}
	lit, ok := u.X.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	if name, ok := lit.Type.(*ast.Ident); !ok || name.Name != "Error" {
		return ""
	}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || kv.Key.(*ast.Ident).Name != "Code" {
			continue
		}
		if text, ok := kv.Value.(*ast.BasicLit); ok {
			code, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			return code
		}
	}
	return ""
}

// The README names what exists: each qualified name in its prose and code is
// declared in the package.
func TestReadmeNamesExist(t *testing.T) {
	methods := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			declaredNames(t, file, methods)
		}
	}
	text := readme(t)
	for _, m := range regexp.MustCompile(`\b(?:jwtauth|Auth|auth|KeySet|Key)\.([A-Z]\w*)`).FindAllStringSubmatch(text, -1) {
		if !methods[m[1]] {
			t.Errorf("README.md names %s, which does not exist", m[0])
		}
	}
}

func declaredNames(t *testing.T, file string, names map[string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if spec, ok := s.(*ast.TypeSpec); ok {
					names[spec.Name.Name] = true
				}
			}
		}
	}
}
