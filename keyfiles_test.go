package jwtauth_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jwtauth/jwtauth"
)

// keyDir returns the name of a directory that does not exist yet.
func keyDir(t testing.TB) string { return filepath.Join(t.TempDir(), "a", "keys") }

func openKeys(t *testing.T, dir, alg string) *jwtauth.KeySet {
	t.Helper()
	set, err := jwtauth.OpenKeys(dir, alg)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestOpenKeysMakesOneKeyAndKeepsIt(t *testing.T) {
	for alg, file := range map[string]string{"HS256": "0001.key", "RS256": "0001.pem", "ES256": "0001.pem"} {
		t.Run(alg, func(t *testing.T) {
			dir := keyDir(t)
			first, second := openKeys(t, dir, alg), openKeys(t, dir, alg)
			if a, b := listed(first), listed(second); a != b || !strings.HasSuffix(a, "*") {
				t.Errorf("%q, then %q", a, b)
			}
			if got := names(t, dir); got != file {
				t.Errorf("the directory holds %q", got)
			}
			if runtime.GOOS == "windows" {
				return
			}
			for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, file): 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
				}
			}
		})
	}
}

func TestProcessesStartingAtOnceShareOneKey(t *testing.T) {
	for _, alg := range []string{"HS256", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			dir := keyDir(t)
			sets, secrets := make([]*jwtauth.KeySet, 16), make([][]byte, 16)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range sets {
				wg.Go(func() {
					<-start
					var err1, err2 error
					sets[i], err1 = jwtauth.OpenKeys(dir, alg)
					secrets[i], err2 = jwtauth.OpenSecret(dir)
					if err1 != nil || err2 != nil {
						t.Error(err1, err2)
					}
				})
			}
			close(start)
			wg.Wait()
			for i := range sets {
				if listed(sets[i]) != listed(sets[0]) || !bytes.Equal(secrets[i], secrets[0]) {
					t.Fatal("two processes have different keys")
				}
			}
			if got := names(t, dir); strings.Contains(got, ".new") || strings.Count(got, " ") != 1 {
				t.Errorf("the directory holds %q", got)
			}
		})
	}
}

func TestAddingKeysAtOnceAddsAll(t *testing.T) {
	dir := keyDir(t)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := jwtauth.AddKey(dir, "ES256")
			if err != nil {
				t.Error(err)
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	got := openKeys(t, dir, "ES256").Keys()
	for _, k := range got {
		if !slices.Contains(ids, k.ID) {
			t.Errorf("%s was not returned", k.ID)
		}
	}
	if len(got) != len(ids) {
		t.Errorf("%d keys, want %d", len(got), len(ids))
	}
}

// Two calls with different algorithms may take one number, for a .pem and a .key.
// The directory used to be refused from then on.
func TestAddingKeysOfTwoKindsAtOnceLeavesTheDirectoryGood(t *testing.T) {
	dir := keyDir(t)
	openKeys(t, dir, "HS256")
	var wg sync.WaitGroup
	for range 20 {
		for _, alg := range []string{"ES256", "HS256"} {
			wg.Go(func() {
				if _, err := jwtauth.AddKey(dir, alg); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	// The same, left to no chance.
	writeFile(t, filepath.Join(dir, "500.pem"), vectorPEMs(t)["p256_private_pem"], 0o600)
	writeFile(t, filepath.Join(dir, "500.key"), base64.StdEncoding.EncodeToString(vectorSecret(t, "hs256_hex")), 0o600)
	keys := openKeys(t, dir, "ES256").Keys()
	if len(keys) != 43 || keys[0].Algorithm != "ES256" || keys[1].Algorithm != "HS256" {
		t.Errorf("%d keys, the newest are %v and %v", len(keys), keys[0], keys[1])
	}
}

// AddKey used to write a file that no OpenKeys accepts.
func TestAddKeyStopsAtTheLastNumber(t *testing.T) {
	dir := keyDir(t)
	set := openKeys(t, dir, "ES256")
	if err := os.Rename(filepath.Join(dir, "0001.pem"), filepath.Join(dir, "999999999.pem")); err != nil {
		t.Fatal(err)
	}
	_, err := jwtauth.AddKey(dir, "ES256")
	wantRefused(t, err, "no number is left")
	if got := openKeys(t, dir, "ES256"); listed(got) != listed(set) {
		t.Errorf("keys are %q", listed(got))
	}
}

func TestRotationWithFiles(t *testing.T) {
	dir := keyDir(t)
	set := openKeys(t, dir, "ES256")
	first := set.Keys()[0].ID
	path := func(name string) string { return filepath.Join(dir, name) }

	k, err := jwtauth.AddKey(dir, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	if got := listed(set); got != first+"*" {
		t.Errorf("a set that was not reloaded is %q", got)
	}
	reload := func() {
		t.Helper()
		if err := set.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if reload(); listed(set) != k.ID()+"* "+first {
		t.Errorf("after AddKey the set is %q", listed(set))
	}
	if got := listed(openKeys(t, dir, "ES256")); got != listed(set) {
		t.Errorf("another process reads %q", got)
	}

	// The two steps for several nodes: verify first, sign later.
	writeFile(t, path("0-next.pem"), vectorPEMs(t)["p256_private_pem"], 0o600)
	reload()
	verifying := listed(set)
	if err := os.Rename(path("0-next.pem"), path("10-next.pem")); err != nil {
		t.Fatal(err)
	}
	reload()
	next := strings.Fields(verifying)[2]
	if want := next + "* " + k.ID() + " " + first; listed(set) != want {
		t.Errorf("keys are %q, want %q (9 and 10 sort as numbers)", listed(set), want)
	}

	if err := os.Remove(path("0001.pem")); err != nil {
		t.Fatal(err)
	}
	if reload(); listed(set) != next+"* "+k.ID() {
		t.Errorf("after a file was removed the set is %q", listed(set))
	}
	if _, err = jwtauth.AddKey(dir, "ES256"); err != nil || !strings.Contains(names(t, dir), "0011.pem") {
		t.Errorf("AddKey after 10 made %q, %v", names(t, dir), err)
	}
}

// Retire used to hold until the next Reload only, and a newest key that was
// retired signed again.
func TestRetiredKeysStayOutWhileTheirFilesAreThere(t *testing.T) {
	dir := keyDir(t)
	set := openKeys(t, dir, "ES256")
	first := set.Keys()[0].ID
	second := mustKey(t)(jwtauth.AddKey(dir, "ES256"))
	for _, err := range []error{set.Reload(), set.Retire(first), set.Reload()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(set); got != second.ID()+"*" {
		t.Errorf("after Retire and Reload the set is %q", got)
	}
	third := mustKey(t)(jwtauth.GenerateKey("ES256"))
	for _, err := range []error{set.Rotate(third), set.Retire(second.ID())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantRefused(t, set.Reload(), "was retired")
	if got := listed(set); got != third.ID()+"*" {
		t.Errorf("a Reload that failed left %q", got)
	}
	// Who takes it back does so by name.
	if err := set.Accept(second); err != nil {
		t.Fatal(err)
	}
	if err := set.Reload(); err != nil || listed(set) != second.ID()+"*" {
		t.Errorf("after Accept and Reload the set is %q, %v", listed(set), err)
	}
}

func TestMigrationFromOneAlgorithmToAnother(t *testing.T) {
	dir := keyDir(t)
	old := openKeys(t, dir, "HS256").Keys()[0].ID
	_, err := jwtauth.OpenKeys(dir, "ES256")
	wantRefused(t, err, "AddKey")
	k, err := jwtauth.AddKey(dir, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	if got := listed(openKeys(t, dir, "ES256")); got != k.ID()+"* "+old {
		t.Errorf("keys are %q", got)
	}
}

func TestKeyDirectoriesRefused(t *testing.T) {
	pems := vectorPEMs(t)
	good := pems["p256_private_pem"]
	for _, c := range []struct {
		name, refusal string
		files         map[string]string
	}{
		{"newest key public", "can't sign", map[string]string{"1.pem": good, "2.pem": pems["p256_attacker_public_pem"]}},
		{"same number twice", "same number", map[string]string{"1.pem": good, "01-x.pem": good}},
		{"one key in two files", "two keys have the id", map[string]string{"1.pem": good, "2.pem": good}},
		{"name without a number", "0001.pem", map[string]string{"signing.pem": good}},
		{"number too long", "0001.pem", map[string]string{"1234567890.pem": good}},
		{"unreadable PEM", "no PEM block", map[string]string{"1.pem": "hello"}},
		{"weak key", "1024 bits", map[string]string{"1.pem": pems["rsa1024_private_pem"]}},
		{"wrong curve", "P-256", map[string]string{"1.pem": pems["p384_private_pem"]}},
		{"two blocks", "more than one", map[string]string{"1.pem": good + good}},
		{"secret that is no base64", "base64", map[string]string{"1.key": "not base64!"}},
		{"short secret", "32 bytes", map[string]string{"1.key": base64.StdEncoding.EncodeToString([]byte("short"))}},
		{"empty file", "no PEM block", map[string]string{"1.pem": ""}},
		{"huge file", "64 KiB", map[string]string{"1.pem": strings.Repeat("A", 1<<20)}},
		{"newest key of another kind", "RS256, not ES256", map[string]string{"1.pem": good, "2.pem": pems["rsa_private_pem"]}},
	} {
		t.Run(c.name+" refused", func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				writeFile(t, filepath.Join(dir, name), text, 0o600)
			}
			set, err := jwtauth.OpenKeys(dir, "ES256")
			wantRefused(t, err, c.refusal)
			if set != nil {
				t.Error("a set was returned with the error")
			}
		})
	}
}

func TestOtherFilesInTheDirectoryAreLeftAlone(t *testing.T) {
	dir := keyDir(t)
	set := openKeys(t, dir, "ES256")
	for _, name := range []string{".gitignore", "..data.pem", ".new-1.pem", "README.md", "0002.pem~", "0003.pem.bak"} {
		writeFile(t, filepath.Join(dir, name), "not a key", 0o644)
	}
	if got := openKeys(t, dir, "ES256"); listed(got) != listed(set) {
		t.Errorf("keys are %q", listed(got))
	}
}

func TestFailedReloadChangesNothing(t *testing.T) {
	dir := keyDir(t)
	set := openKeys(t, dir, "ES256")
	before := listed(set)
	writeFile(t, filepath.Join(dir, "2.pem"), "half a fi", 0o600)
	wantRefused(t, set.Reload(), "2.pem")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, set.Reload(), "holds none")
	if listed(set) != before {
		t.Errorf("keys are %q, were %q", listed(set), before)
	}
	plain, err := jwtauth.NewKeySet(mustKey(t)(jwtauth.GenerateKey("ES256")))
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, plain.Reload(), "not opened from a directory")
}

func TestFilesThatOthersCanReadAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o601, 0o666} {
		dir := keyDir(t)
		openKeys(t, dir, "HS256")
		if _, err := jwtauth.OpenSecret(dir); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"0001.key", "secret"} {
			if err := os.Chmod(filepath.Join(dir, file), mode); err != nil {
				t.Fatal(err)
			}
		}
		_, err := jwtauth.OpenKeys(dir, "HS256")
		wantRefused(t, err, "others can read")
		_, err = jwtauth.OpenSecret(dir)
		wantRefused(t, err, "others can read")
	}
}

func TestDirectoriesThatOthersCanWriteToAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	for _, mode := range []os.FileMode{0o777, 0o770, 0o702} {
		dir := keyDir(t)
		openKeys(t, dir, "ES256")
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, err := jwtauth.OpenKeys(dir, "ES256")
		wantRefused(t, err, "others can write")
		_, err = jwtauth.OpenSecret(dir)
		wantRefused(t, err, "others can write")
		_, err = jwtauth.AddKey(dir, "ES256")
		wantRefused(t, err, "others can write")
	}
}

func TestOpenKeysRefusesUnknownAlgorithms(t *testing.T) {
	for _, alg := range []string{"", "none", "HS512", "es256"} {
		dir := keyDir(t)
		_, err := jwtauth.OpenKeys(dir, alg)
		wantRefused(t, err, "HS256, RS256 or ES256")
		if _, err := os.Stat(dir); err == nil {
			t.Error("the directory was created nevertheless")
		}
		_, err = jwtauth.AddKey(dir, alg)
		wantRefused(t, err, "HS256, RS256 or ES256")
	}
}

func TestKeyFileThatIsADirectoryIsRefused(t *testing.T) {
	dir := keyDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "1.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := jwtauth.OpenKeys(dir, "ES256")
	wantRefused(t, err, "not a regular file")
}

func TestOpenSecret(t *testing.T) {
	dir := keyDir(t)
	a, err := jwtauth.OpenSecret(dir)
	if err != nil || len(a) != 32 {
		t.Fatalf("%d bytes, %v", len(a), err)
	}
	b, err := jwtauth.OpenSecret(dir)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the second call returned something else, or %v", err)
	}
	other, err := jwtauth.OpenSecret(keyDir(t))
	if err != nil || bytes.Equal(a, other) {
		t.Errorf("two directories share a secret, or %v", err)
	}
	path := filepath.Join(dir, "secret")
	for text, refusal := range map[string]string{
		"": "32 bytes", "?": "base64", strings.Repeat("QUFB", 20): "pattern", base64.StdEncoding.EncodeToString(a[:31]): "32 bytes",
	} {
		writeFile(t, path, text, 0o600)
		_, err := jwtauth.OpenSecret(dir)
		wantRefused(t, err, refusal)
	}
}
