package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Node is a server in a process of its own. It keeps its address when it is
// started again.
type Node struct {
	// Program and Args start it; -addr is added.
	Program string
	Args    []string
	Env     []string
	Log     io.Writer

	addr   string
	cmd    *exec.Cmd
	exited chan error
}

// Base is the URL in front of every path.
func (n *Node) Base() string { return "http://" + n.addr }

// Start starts the server and waits until it answers.
func (n *Node) Start(ctx context.Context) error {
	if n.addr == "" {
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		n.addr = addr
	}
	n.cmd = exec.Command(n.Program, append([]string{"-addr", n.addr}, n.Args...)...)
	n.cmd.Env = append(os.Environ(), n.Env...)
	n.cmd.Stdout, n.cmd.Stderr = n.Log, n.Log
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(n.cmd, n.exited)
	return n.answers(ctx)
}

func (n *Node) answers(ctx context.Context) error {
	const startTime = time.Minute
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if n.healthy(ctx) {
			return nil
		}
		select {
		case err := <-n.exited:
			n.exited <- err
			return fmt.Errorf("the server ended: %w", err)
		default:
		}
		if !pause(ctx, 5*time.Millisecond) {
			return errors.Join(errors.New("the server does not answer"), n.Kill())
		}
	}
}

func (n *Node) healthy(ctx context.Context) bool {
	q, err := http.NewRequestWithContext(ctx, "GET", n.Base()+"/healthz", nil)
	if err != nil {
		return false
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// Kill ends the server as a power cut would (SIGKILL), and waits until it is
// gone. One that is gone already is no error.
func (n *Node) Kill() error { return n.end(syscall.SIGKILL) }

// Stop lets the server finish.
func (n *Node) Stop() error {
	if err := n.end(syscall.SIGTERM); err != nil {
		return err
	}
	if state := n.cmd.ProcessState; !state.Success() {
		return fmt.Errorf("the server ended with %v", state)
	}
	return nil
}

func (n *Node) end(signal syscall.Signal) error {
	if err := n.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	n.exited <- <-n.exited
	return nil
}

// freeAddress is one that nobody listens on, with a port below those that the
// system hands out: nobody gets it by chance before its node does, or while that
// is down.
func freeAddress() (string, error) {
	var failed error
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(26_000+rand.IntN(6_000))))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		failed = err
	}
	return "", failed
}
