package apitest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jwtauth/jwtauth/docs/openapi"
	"github.com/go-jwtauth/jwtauth/internal/apitest"
	"github.com/go-jwtauth/jwtauth/internal/recorder"
)

// apis are those that have a document.
var apis = map[string]apitest.API{
	"native": {
		Document: openapi.Native(),
		Locate:   nativeAddress,
		More: []string{
			"TestActivityIsOnesOwn", "TestCodeGivesItsRole", "TestDeleteOwnAccount", "TestHeadersDoNotChangeTheLink",
			"TestProfileOfARegistration", "TestRightsAreNeverTakenFromRegistration", "TestTwelvePlantedSecretsAppearNowhere",
		},
		MoreAnswered: []string{"TestMapThatAHookSharesIsLeftAsItIs", "TestViewsAddAndNeverReplace", "openapi"},
		OwnCodes:     []string{"TestGateIsAskedOnlyAfterTheProof", "TestGates", "TestPasswordPolicyHook"},
		AsCode:       "rest_forbidden",
	},
	// The dialects take from a request what they know and pass the rest over, as
	// WordPress does, and the objects in their answers are closed by the documents.
	"jwt-auth": {
		Document: openapi.JWTAuth(),
		Locate:   apitest.WordPress("jwt-auth/v1"),
		More:     []string{apitest.All}, MoreAnswered: []string{apitest.All},
	},
	"simple-jwt-login": {
		Document: openapi.SimpleJWTLogin(),
		Locate:   apitest.WordPress("simple-jwt-login/v1"),
		More:     []string{apitest.All}, MoreAnswered: []string{apitest.All},
	},
}

// nativeAddress finds an address of the native API. The one parameter whose name
// may be in any case is written as documented.
func nativeAddress(u *url.URL) (*url.URL, bool) {
	at, ok := apitest.Below("", "/auth")(u)
	if ok && at.Path == "/autologin" {
		at.RawQuery = strings.Replace(at.RawQuery, "jwt=", "JWT=", 1)
	}
	return at, ok
}

// Everything that the HTTP tests of the library send and get is as its document
// says, and each operation is among it.
func TestExchangesAreAsDocumented(t *testing.T) {
	dir := record(t)
	for name, api := range apis {
		t.Run(name, func(t *testing.T) {
			d, err := apitest.Open(api)
			if err != nil {
				t.Fatal(err)
			}
			wrong := map[string]int{}
			for e := range exchanges(t, dir) {
				err := d.Check(e)
				if err == nil {
					continue
				}
				if wrong[err.Error()]++; wrong[err.Error()] == 1 && len(wrong) <= 40 {
					t.Errorf("%s: %s %s\n%.300s\nanswered %d %.600s\n%v", e.Test, e.Method, e.Target, e.Body, e.Status, e.Answer, err)
				}
			}
			answers, requests := d.Checked()
			for op, n := range answers {
				t.Logf("%s: %d answers and %d requests checked", op, n, requests[op])
				if n == 0 || requests[op] == 0 {
					t.Errorf("%s: %d answers and %d requests checked", op, n, requests[op])
				}
			}
		})
	}
}

// record runs the tests and returns where their exchanges are.
func record(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(recorder.Dir); dir != "" {
		return dir // recorded before
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=20m", ".", "./compat/...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), recorder.Dir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the tests of the library failed: %v\n%s", err, out)
	}
	return dir
}

// exchanges reads what was recorded.
func exchanges(t *testing.T, dir string) func(yield func(recorder.Exchange) bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing was recorded: %v", err)
	}
	return func(yield func(recorder.Exchange) bool) {
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			dec := json.NewDecoder(bufio.NewReader(f))
			for {
				var e recorder.Exchange
				if err := dec.Decode(&e); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if !yield(e) {
					return
				}
			}
			f.Close()
		}
	}
}
