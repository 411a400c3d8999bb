// Package exchange replays recorded HTTP exchanges in tests: files with a
// request and the answer to it, byte for byte.
//
//	# world: who asks, and of what; the words after the colon choose it
//	POST /wp-json/jwt-auth/v1/token/validate
//	Authorization: Bearer {token}
//
//	----
//	HTTP 200
//	Content-Type: application/json; charset=UTF-8
//
//	{"code":"jwt_auth_valid_token","data":{"status":200}}
//
// A name in braces in the request stands for a value of the world, and in the
// answer a value of the world for its name. Tokens and ids that are new in each
// run are replaced by what they are, such as <jwt>.
package exchange

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// World is where a request is sent, and the values that it may name.
type World struct {
	Handler http.Handler
	Values  map[string]string
}

var update = flag.Bool("update", false, "record the answers of the exchanges anew")

const divider = "\n----\n"

// Run replays every file of a folder. A request is sent to a world of its own,
// made by the function of its name; each has to be used. rewrite gives the
// request line other addresses, each of which must have the same answer.
func Run(t *testing.T, folder string, worlds map[string]func(t *testing.T) World, rewrite ...func(target string) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.http"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no exchanges in %s: %v", folder, err)
	}
	used := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			used[replay(t, file, worlds, rewrite)] = true
		})
	}
	for name := range worlds {
		if !used[name] {
			t.Errorf("no exchange uses the world %q", name)
		}
	}
}

func replay(t *testing.T, file string, worlds map[string]func(t *testing.T) World, rewrite []func(string) string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asked, want, _ := strings.Cut(string(text), divider)
	name, request := world(t, asked)
	build, ok := worlds[name]
	if !ok {
		t.Fatalf("%s: there is no world %q", file, name)
	}
	for i, change := range append([]func(string) string{func(target string) string { return target }}, rewrite...) {
		got := send(t, build(t), request, change)
		if *update && i == 0 {
			want = got
			if err := os.WriteFile(file, []byte(strings.TrimRight(asked, "\n")+"\n"+divider+got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("address %d answered\n%s\nwant\n%s", i+1, got, want)
		}
	}
	return name
}

// world reads the comment lines and returns what follows them.
func world(t *testing.T, asked string) (name, request string) {
	for strings.HasPrefix(asked, "#") {
		line, rest, _ := strings.Cut(asked, "\n")
		if of, ok := strings.CutPrefix(line, "# world:"); ok {
			name = strings.TrimSpace(of)
		}
		asked = rest
	}
	return name, asked
}

func send(t *testing.T, w World, request string, change func(string) string) string {
	t.Helper()
	for name, value := range w.Values {
		request = strings.ReplaceAll(request, "{"+name+"}", value)
	}
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, target, ok := strings.Cut(lines[0], " ")
	if !ok {
		t.Fatalf("request line %q", lines[0])
	}
	header := http.Header{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	body = strings.TrimRight(body, "\n")
	if strings.HasPrefix(header.Get("Content-Type"), "multipart/") {
		body = strings.ReplaceAll(body, "\n", "\r\n") + "\r\n"
	}
	r := httptest.NewRequest(method, change(target), strings.NewReader(body))
	r.Header = header
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, r)
	return show(rec, w.Values)
}

// volatile are the texts that are new in each run.
var volatile = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`), "<jwt>"},
	{regexp.MustCompile(`jr1\.[\w-]+`), "<refresh>"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uuid>"},
}

// show writes an answer as it is recorded, with its headers in order.
func show(rec *httptest.ResponseRecorder, values map[string]string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP %d\n", rec.Code)
	var lines []string
	for name, all := range rec.Header() {
		for _, value := range all {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	fmt.Fprintf(&b, "%s\n\n%s", strings.Join(lines, "\n"), rec.Body)
	text := b.String()
	for name, value := range values {
		text = strings.ReplaceAll(text, value, "{"+name+"}")
	}
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return text
}

// Query is the address of a target below /wp-json in the form of a parameter,
// on the page that is named, such as "/" or "/index.php".
func Query(page string) func(target string) string {
	return func(target string) string {
		path, query, _ := strings.Cut(target, "?")
		route, ok := strings.CutPrefix(path, "/wp-json")
		if !ok {
			return target
		}
		if route == "" {
			route = "/"
		}
		if query != "" {
			query = "&" + query
		}
		return page + "?rest_route=" + route + query
	}
}

// Slash is a target with a slash at the end of its path.
func Slash(target string) string {
	path, query, found := strings.Cut(target, "?")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	if found {
		query = "?" + query
	}
	return path + query
}
