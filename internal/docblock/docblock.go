// Package docblock reads the code blocks, links and headings of Markdown files and
// checks that the Go among them compiles, for the tests of this repository.
package docblock

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Block is one fenced code block.
type Block struct {
	// File is where it stands, Line the number of its first line of code.
	File string
	Line int
	// Lang is what follows the fence, such as "go" or "sh".
	Lang string
	// Text is the code.
	Text string
	// Note is the HTML comment right above the fence, without its marks: see
	// [Block.Vars] and [Block.Source].
	Note string

	indent string // of the fence, which is cut from the code
}

// Where is the place of a block, for messages.
func (b Block) Where() string { return fmt.Sprintf("%s:%d", b.File, b.Line) }

var note = regexp.MustCompile(`^<!--\s*(.*?)\s*-->$`)

// Blocks returns the blocks of a file.
func Blocks(file string) ([]Block, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	var open *Block
	above := ""
	for i, line := range strings.Split(string(data), "\n") {
		text := strings.TrimLeft(line, " ")
		lang, fence := strings.CutPrefix(text, "```")
		switch {
		case fence && open == nil:
			open = &Block{File: file, Line: i + 2, Lang: lang, Note: above, indent: line[:len(line)-len(text)]}
		case fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, open.indent) + "\n"
		}
		above = ""
		if m := note.FindStringSubmatch(text); m != nil {
			above = m[1]
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: a code block does not end", open.Where())
	}
	return blocks, nil
}

// Source is the file that a block quotes, by a note "from: FILE"; "" if it quotes
// none.
func (b Block) Source() string {
	file, ok := strings.CutPrefix(b.Note, "from:")
	if !ok {
		return ""
	}
	return strings.TrimSpace(file)
}

// Vars are the variables that a fragment is given, by a note "vars: NAME TYPE, …".
func (b Block) Vars() map[string]string {
	vars := map[string]string{}
	list, ok := strings.CutPrefix(b.Note, "vars:")
	for v := range strings.SplitSeq(list, ",") {
		if name, typ, found := strings.Cut(strings.TrimSpace(v), " "); ok && found {
			vars[name] = typ
		}
	}
	return vars
}

// Files returns the Markdown files at and below the paths, in order.
func Files(paths ...string) ([]string, error) {
	var files []string
	for _, p := range paths {
		err := filepath.WalkDir(p, func(path string, _ os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

// Page is what links lead to and come from.
type Page struct {
	Anchors map[string]bool
	Links   []string
}

var (
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	code    = regexp.MustCompile("`[^`]*`")
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Read returns the links and the anchors of headings of a file, code left out.
func Read(file string) (Page, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Page{}, err
	}
	page := Page{Anchors: map[string]bool{}}
	seen := map[string]int{}
	fenced := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			page.Anchors[anchor(m[1], seen)] = true
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
			page.Links = append(page.Links, m[1])
		}
	}
	return page, nil
}

// anchor is what a heading is linked by, on the sites that show these files: lower
// case, hyphens for spaces, without punctuation, numbered where it is there already.
func anchor(text string, seen map[string]int) string {
	text = linked.ReplaceAllString(text, "$1")
	a := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
	n := seen[a]
	seen[a]++
	if n > 0 {
		return fmt.Sprintf("%s-%d", a, n)
	}
	return a
}
