package fault_test

import (
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/internal/integration/fault"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

var (
	kills   = flag.Int("fault.kills", 5, "how often a server is killed in a run")
	seed    = flag.Uint64("fault.seed", 1, "what decides about everything that is left to chance")
	most    = flag.Duration("fault.most", 20*time.Minute, "when a run ends in any case")
	clients = flag.Int("fault.clients", 6, "how many clients there are")
	verbose = flag.Bool("fault.log", false, "show what the servers print")
)

// newLab has two nodes of a program on one database.
func newLab(t *testing.T, program string, d integration.Database, db string, env ...string) *fault.Lab {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	l := &fault.Lab{Database: d, Keys: filepath.Join(dir, "keys"), Mails: filepath.Join(dir, "mails"),
		Clients: *clients, Seed: *seed, Life: 30, Kills: *kills, Most: *most}
	if err := errors.Join(os.WriteFile(config, []byte(fault.Config), 0o600), os.Mkdir(l.Keys, 0o700), os.Mkdir(l.Mails, 0o700)); err != nil {
		t.Fatal(err)
	}
	var log io.Writer = io.Discard
	if *verbose {
		log = os.Stderr
	}
	for range 2 {
		l.Nodes = append(l.Nodes, &fault.Node{Program: program, Env: env, Log: log,
			Args: []string{"-issuer", fault.Issuer, "-config", config, "-db", db, "-keys", l.Keys, "-mail", l.Mails}})
	}
	return l
}

// exampleServer builds it.
func exampleServer(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "server")
	cmd := exec.Command("go", "build", "-o", name, "./server")
	cmd.Dir = "../../../examples"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// wantNone runs a lab that must find nothing.
func wantNone(t *testing.T, l *fault.Lab) fault.Result {
	t.Helper()
	result, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %v", l.Seed, result)
	for i, v := range result.Violations {
		if i == 20 {
			t.Fatal("and more")
		}
		t.Errorf("not so: %s: %s", v.Invariant, v.Detail)
	}
	if result.ServerKills < l.Kills {
		t.Errorf("%d kills, want %d", result.ServerKills, l.Kills)
	}
	for _, op := range fault.Operations {
		if result.Done[op] == 0 {
			t.Errorf("the run shows nothing of %s: none succeeded", op)
		}
	}
	return result
}

func TestKillsOnSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth.db")
	wantNone(t, newLab(t, exampleServer(t), integration.SQLiteFile(file), "sqlite:"+file))
}

// TestKillsOnMariaDB leaves the server of the database alone: it is not ours.
// TestFullDiskOnSQLite fills the file system that the database is on: what can't be
// written is not acknowledged, and it goes on when there is room.
func TestFullDiskOnSQLite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	disk, err := fault.NewDisk(dir, 48)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "auth.db")
	l := newLab(t, exampleServer(t), integration.SQLiteFile(file), "sqlite:"+file)
	l.Behind, l.Kills = disk, max(l.Kills, 20)
	result := wantNone(t, l)
	if result.DatabaseKills == 0 {
		t.Error("the disk was never full")
	}
}

func TestKillsOnMariaDB(t *testing.T) {
	d := integration.MySQL(t)
	cfg, err := mysql.ParseDSN(d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + cfg.DBName}
	wantNone(t, newLab(t, exampleServer(t), d, u.String()))
}

// TestKillsOnPostgres kills the server of the database too, and cuts the network
// between.
func TestKillsOnPostgres(t *testing.T) {
	p, err := fault.NewPostgres(t.Context(), filepath.Join(publicDir(t), "data"), io.Discard)
	if errors.Is(err, exec.ErrNotFound) {
		integration.Absent(t, "no PostgreSQL to kill: apt-get install postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	network, err := fault.NewProxy(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	l := newLab(t, exampleServer(t), integration.Database{Flavour: sqlstore.Postgres, Driver: "pgx", DSN: fault.PostgresDSN(p.Addr())},
		fault.PostgresDSN(network.Addr()))
	l.Behind, l.Network = p, network
	wantNone(t, l)
}

// TestKillsOnSQLiteAndRedis kills Redis too. Accounts and the trail are in the file,
// and what is revoked, counted or used once is in Redis.
func TestKillsOnSQLiteAndRedis(t *testing.T) {
	r, err := fault.NewRedis(t.Context(), t.TempDir(), io.Discard)
	if errors.Is(err, exec.ErrNotFound) {
		integration.Absent(t, "no Redis to kill: apt-get install redis-server")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	network, err := fault.NewProxy(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	file := filepath.Join(t.TempDir(), "auth.db")
	l := newLab(t, exampleServer(t), integration.SQLiteFile(file), "sqlite:"+file)
	for _, n := range l.Nodes {
		n.Args = append(n.Args, "-redis", "redis://"+network.Addr())
	}
	l.Behind, l.Network = r, network
	wantNone(t, l)
}

// publicDir is a directory that the user of the database may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jwtauth-fault-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
