package fault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a PostgreSQL server of our own, which may be killed.
type Postgres struct {
	dir, port string
	owner     *syscall.Credential // it refuses to run as root
	log       io.Writer
	cmd       *exec.Cmd
	exited    chan error
}

// NewPostgres makes a server with its data in dir, which must not be there yet.
// [exec.ErrNotFound] if PostgreSQL is not installed.
func NewPostgres(ctx context.Context, dir string, log io.Writer) (*Postgres, error) {
	p := &Postgres{dir: dir, log: log}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, p.port, _ = net.SplitHostPort(addr)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := p.giveAway(); err != nil {
		return nil, err
	}
	initdb, err := p.command("initdb", "-D", dir, "-A", "trust", "-U", "postgres", "--no-sync")
	if err != nil {
		return nil, err
	}
	if err := initdb.Run(); err != nil {
		return nil, fmt.Errorf("initdb: %w", err)
	}
	return p, p.Start(ctx)
}

// giveAway lets somebody else own the data if we are root.
func (p *Postgres) giveAway() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return errors.Join(errUID, errGID, os.Chown(p.dir, uid, gid))
}

func (p *Postgres) command(name string, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
		if len(found) == 0 {
			return nil, err
		}
		path = slices.Max(found)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // it looks for its other programs beside itself
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	cmd.WaitDelay = 5 * time.Second // for a process that keeps the log open
	return cmd, nil
}

// Start starts the server, which recovers what was committed, and waits until it
// takes connections.
func (p *Postgres) Start(ctx context.Context) error {
	cmd, err := p.command("postgres", "-D", p.dir, "-p", p.port, "-k", p.dir, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200")
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.exited = cmd, make(chan error, 1)
	go func(exited chan<- error) { exited <- cmd.Wait() }(p.exited)
	return p.ready(ctx)
}

func (p *Postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", PostgresDSN(p.Addr()))
	if err != nil {
		return err
	}
	defer db.Close()
	for db.PingContext(ctx) != nil {
		if !pause(ctx, 10*time.Millisecond) {
			return errors.New("PostgreSQL does not get ready")
		}
	}
	return nil
}

// Addr is where it listens.
func (p *Postgres) Addr() string { return net.JoinHostPort("127.0.0.1", p.port) }

// PostgresDSN is a server of ours at an address.
func PostgresDSN(addr string) string {
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
}

// Kill ends the server and every process of it with SIGKILL. It is stopped first,
// or it could start one more that is overlooked, and lives on.
func (p *Postgres) Kill() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	children := childrenOf(p.cmd.Process.Pid)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its parent
	}
	p.exited <- <-p.exited
	return nil
}

// childrenOf reads /proc, where there is one.
func childrenOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// The name of the program is in parentheses and may have any characters.
		_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
