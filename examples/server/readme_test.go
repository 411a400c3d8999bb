package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The config file that the README shows has every key there is, and starts a
// server whose settings are the defaults.
func TestReadmeShowsTheWholeConfigFile(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```json\n")
	config, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("README.md shows no config file")
	}
	shown, err := readFile(write(t, config))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(config), &members); err != nil {
		t.Fatal(err)
	}
	hasKeys(t, "", reflect.TypeFor[file](), members)

	testApp(t, config, options{keys: t.TempDir()})
	if shown.Hash.MemoryKiB != 19456 || shown.Hash.Time != 2 || *shown.Sessions.GraceSeconds != 30 {
		t.Errorf("README.md shows other defaults than those of jwtauth: %+v", shown)
	}
}

// hasKeys checks that members has a key for each field.
func hasKeys(t *testing.T, path string, typ reflect.Type, members map[string]any) {
	t.Helper()
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := f.Tag.Get("json")
		if name == "" {
			continue
		}
		v, ok := members[name]
		if !ok {
			t.Errorf("README.md lacks %s%s", path, name)
		}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			inner, _ := v.(map[string]any)
			hasKeys(t, path+name+".", ft, inner)
		}
	}
}
