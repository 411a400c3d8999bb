package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Redis is a Redis server of our own, which may be killed. It writes everything
// to its file before it answers: with less, a kill may cost what was
// acknowledged.
type Redis struct {
	dir, port string
	log       io.Writer
	cmd       *exec.Cmd
	exited    chan error
}

// NewRedis starts a server with its data in dir. [exec.ErrNotFound] if Redis is
// not installed.
func NewRedis(ctx context.Context, dir string, log io.Writer) (*Redis, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &Redis{dir: dir, log: log}
	_, r.port, _ = net.SplitHostPort(addr)
	return r, r.Start(ctx)
}

// Addr is where it listens.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", r.port) }

// Start starts the server, which reads its file, and waits until it answers.
func (r *Redis) Start(ctx context.Context) error {
	cmd := exec.Command("redis-server", "--port", r.port, "--bind", "127.0.0.1", "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = r.log, r.log, 5*time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd, r.exited = cmd, make(chan error, 1)
	go func(exited chan<- error) { exited <- cmd.Wait() }(r.exited)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !r.answers() {
		if !pause(ctx, 10*time.Millisecond) {
			return errors.New("Redis does not answer")
		}
	}
	return nil
}

// answers asks for its name, in its protocol: while it loads it says no.
func (r *Redis) answers() bool {
	c, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if _, err := io.WriteString(c, "PING\r\n"); err != nil {
		return false
	}
	answer := make([]byte, len("+PONG"))
	_, err = io.ReadFull(c, answer)
	return err == nil && string(answer) == "+PONG"
}

// Kill ends the server with SIGKILL.
func (r *Redis) Kill() error {
	if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	r.exited <- <-r.exited
	return nil
}
