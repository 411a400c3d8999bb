// Package examples_test checks the code of the documents: all of it, also what needs
// more than the root module.
package examples_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-jwtauth/jwtauth/internal/docblock"
)

func TestCodeOfDocumentsCompiles(t *testing.T) {
	packages := docblock.Packages()
	maps.Copy(packages, docblock.NestedPackages())
	files, err := docblock.Files("../README.md", "../CONTRIBUTING.md", "../docs", "server/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []docblock.Block
	var imported []string // by whole programs
	for _, file := range files {
		of, err := docblock.Blocks(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range of {
			if b.Lang == "go" && b.Source() == "" {
				_, paths := docblock.Uses(b)
				blocks, imported = append(blocks, b), append(imported, paths...)
			}
		}
	}
	slices.Sort(imported)
	compiler, err := docblock.NewCompiler(".", packages, docblock.Vars(), slices.Compact(imported)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := compiler.Check(b); err != nil {
			t.Errorf("%s: %v", b.Where(), err)
		}
	}
	if len(blocks) < 50 {
		t.Errorf("checked only %d blocks", len(blocks))
	}
}
