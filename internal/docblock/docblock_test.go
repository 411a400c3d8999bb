package docblock_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/internal/docblock"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "'''", "```")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBlocks(t *testing.T) {
	blocks, err := docblock.Blocks(write(t, `# Page
<!-- vars: n int, s fmt.Stringer -->
'''go
x := n
'''

1. in a list:

   <!-- from: a/b.go -->
   '''go
   func f() {
   	g()
   }
   '''

<!-- vars: n int -->

'''sh
ls
'''
`))
	if err != nil || len(blocks) != 3 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	first, quote, shell := blocks[0], blocks[1], blocks[2]
	if first.Lang != "go" || first.Line != 4 || first.Text != "x := n\n" || first.Source() != "" ||
		!maps.Equal(first.Vars(), map[string]string{"n": "int", "s": "fmt.Stringer"}) {
		t.Errorf("first: %+v %v", first, first.Vars())
	}
	if quote.Source() != "a/b.go" || quote.Text != "func f() {\n\tg()\n}\n" || len(quote.Vars()) != 0 {
		t.Errorf("quote: %+v", quote)
	}
	if shell.Lang != "sh" || len(shell.Vars()) != 0 {
		t.Errorf("a note that does not stand right above counts: %+v", shell)
	}
}

func TestBlockWithoutEndRefused(t *testing.T) {
	if _, err := docblock.Blocks(write(t, "'''go\nx := 1\n")); err == nil {
		t.Error("no error")
	}
}

func TestPage(t *testing.T) {
	page, err := docblock.Read(write(t, "# A title: with `code`, and more\n## Twice\n## Twice\n[a](x.md#y) `[no](z.md)`\n'''sh\n# no heading\n'''\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a-title-with-code-and-more", "twice", "twice-1"}
	if got := slices.Sorted(maps.Keys(page.Anchors)); !slices.Equal(got, want) {
		t.Errorf("anchors %v, want %v", got, want)
	}
	if !slices.Equal(page.Links, []string{"x.md#y"}) {
		t.Errorf("links %v", page.Links)
	}
}

func TestCompiler(t *testing.T) {
	compiler, err := docblock.NewCompiler(".", map[string]string{"fmt": "fmt", "http": "net/http"}, map[string]string{"n": "int"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, text, note string
		fails            string // "" compiles
	}{
		{"fragment with a given variable", "fmt.Println(n)\n", "", ""},
		{"fragment with unused variable", "x := n\n", "", ""},
		{"given variable declared anew", "n := \"text\"\nfmt.Println(n + \"\")\n", "", ""},
		{"declarations", "func f() int { return n }\n", "", ""},
		{"whole program", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(1) }\n", "", ""},
		{"variable of a note", "fmt.Println(w.Header())\n", "vars: w http.ResponseWriter", ""},
		{"unknown name refused", "fmt.Println(m)\n", "", "page.md:7: undefined: m"},
		{"wrong type refused", "var s string = n\n", "", "page.md:7: cannot use n"},
		{"unknown method refused", "fmt.Nothing()\n", "", "undefined: fmt.Nothing"},
		{"unused import of a whole program refused", "package main\n\nimport \"fmt\"\n\nfunc main() {}\n", "", `"fmt" imported and not used`},
		{"what is no Go refused", "if {\n", "", "page.md:7"},
		{"package that nobody named refused", "package main\n\nimport \"archive/zip\"\n\nvar _ zip.Writer\n", "", "archive/zip"},
	} {
		err := compiler.Check(docblock.Block{File: "docs/page.md", Line: 7, Lang: "go", Text: tc.text, Note: tc.note})
		if tc.fails == "" && err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.fails)
		}
	}
}

func TestUses(t *testing.T) {
	names, _ := docblock.Uses(docblock.Block{Text: "x := fmt.Sprint(a.B)\n", Note: "vars: m *sql.DB"})
	if !slices.Equal(names, []string{"a", "fmt", "sql"}) {
		t.Errorf("a fragment uses %v", names)
	}
	_, paths := docblock.Uses(docblock.Block{Text: "package p\n\nimport \"net/http\"\n"})
	if !slices.Equal(paths, []string{"net/http"}) {
		t.Errorf("a file imports %v", paths)
	}
}
