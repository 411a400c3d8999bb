package browsertest_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

var listening = regexp.MustCompile(`^listening on (http://\S+)$`)

// exampleServer builds examples/server, starts it on a free port and returns where it
// listens.
func exampleServer(t *testing.T, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-o", program, "./server")
	build.Dir = "../../examples"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := exec.Command(program, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	base, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				base <- found[1]
			}
		}
		_ = server.Wait() // how it ended is of no interest
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-ended
	})
	select {
	case address := <-base:
		return address
	case <-ended:
	case <-time.After(patience):
	}
	t.Fatal("the server does not listen")
	return ""
}

func TestTheExampleServerServesThePage(t *testing.T) {
	base := exampleServer(t, "-spa")
	for _, mode := range []string{"cookie", "bearer"} {
		page := launch(t).profile(base).open("/spa/?mode=" + mode)
		page.register("ada" + mode)
		page.reload()
		page.shows("#me-login", "ada"+mode)
		page.click("#refresh")
		page.shows("#status", "The tokens are new.")
		page.click("#leave-everywhere")
		page.shows("#status", "You are signed out everywhere.")
	}
}
