package fault_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/internal/integration/fault"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// bugEnv names the bug that this test program is to have when it is started as a
// server.
const bugEnv = "JWTAUTH_FAULT_BUG"

func TestMain(m *testing.M) {
	if bug := os.Getenv(bugEnv); bug != "" {
		if err := serveBuggy(bug, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// gap is where a careless program is interrupted.
func gap() { time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) }

// bugs are the ways in which a server may break its promises, each with the one
// that it breaks. kills says that only a kill shows it.
var bugs = map[string]struct {
	breaks string
	kills  bool
	plant  func(*sqlstore.Store) jwtauth.Store
}{
	"refresh checks and then acts":           {fault.OneSuccessor, false, func(s *sqlstore.Store) jwtauth.Store { return carelessRefresh{s} }},
	"revocation ignores an error":            {fault.RevokedIsOver, false, func(s *sqlstore.Store) jwtauth.Store { return deafRevoke{s} }},
	"reset leaves the tokens alone":          {fault.OldSessionsEnd, false, func(s *sqlstore.Store) jwtauth.Store { return noWatermark{s} }},
	"limit is counted without a lock":        {fault.LimitHolds, false, func(s *sqlstore.Store) jwtauth.Store { return looseLimit{s} }},
	"one-time secret is removed afterwards":  {fault.OneTimeIsOnce, false, func(s *sqlstore.Store) jwtauth.Store { return slowCode{s} }},
	"seal with another hash":                 {fault.ChainHolds, false, func(s *sqlstore.Store) jwtauth.Store { return wrongSeal{s} }},
	"record is written after the answer":     {fault.EveryRecord, true, func(s *sqlstore.Store) jwtauth.Store { return lateRecord{s} }},
	"account is written in two steps":        {fault.NothingLost, true, func(s *sqlstore.Store) jwtauth.Store { return halfAccount{s} }},
	"account is lost after it was confirmed": {fault.NothingLost, false, func(s *sqlstore.Store) jwtauth.Store { return forgetful{s} }},
}

type carelessRefresh struct{ *sqlstore.Store }

func (s carelessRefresh) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (jwtauth.Session, bool, error) {
	x, err := s.Session(ctx, adv.SessionID)
	if err != nil || x.Generation != adv.From {
		return x, false, err
	}
	gap()
	if x, err = s.Session(ctx, adv.SessionID); err != nil {
		return x, false, err
	}
	adv.From = x.Generation // whoever came meanwhile
	return s.Store.AdvanceSession(ctx, adv)
}

type deafRevoke struct{ *sqlstore.Store }

func (s deafRevoke) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if rand.IntN(2) == 0 {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Store.Revoke(ctx, r) // fails
		return nil
	}
	return s.Store.Revoke(ctx, r)
}

type noWatermark struct{ *sqlstore.Store }

func (s noWatermark) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	if r.UserID != "" {
		return nil
	}
	return s.Store.Revoke(ctx, r)
}

type looseLimit struct{ *sqlstore.Store }

func (s looseLimit) CreateSession(ctx context.Context, x jwtauth.Session, limit jwtauth.SessionLimit) ([]jwtauth.Session, error) {
	list, err := s.Sessions(ctx, x.UserID, x.Created)
	if err != nil {
		return nil, err
	}
	var evicted []jwtauth.Session
	for len(list) >= limit.Max {
		last := list[len(list)-1]
		list = list[:len(list)-1]
		if err := s.EndSession(ctx, last.ID); err == nil {
			evicted = append(evicted, last)
		}
	}
	gap()
	_, err = s.Store.CreateSession(ctx, x, jwtauth.SessionLimit{})
	return evicted, err
}

// slowCode also writes accounts over each other, or their version would save it.
type slowCode struct{ *sqlstore.Store }

func (s slowCode) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	c, err := s.Store.ConsumeCode(ctx, key, hash, now)
	if err == nil {
		err = s.PutCode(ctx, c)
		time.AfterFunc(50*time.Millisecond, func() { _, _ = s.Store.ConsumeCode(context.Background(), key, hash, now) })
	}
	return c, err
}

func (s slowCode) UpdateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	for {
		stored, err := s.Store.UpdateUser(ctx, u)
		if !errors.Is(err, jwtauth.ErrConflict) {
			return stored, err
		}
		there, err := s.UserByID(ctx, u.ID)
		if err != nil {
			return u, err
		}
		u.Version = there.Version
	}
}

type wrongSeal struct{ *sqlstore.Store }

func (s wrongSeal) Seal(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
	if len(seals) > 1 {
		seals[0].Hash = append([]byte(nil), seals[1].Hash...)
	}
	return s.Store.Seal(ctx, from, seals, head)
}

type lateRecord struct{ *sqlstore.Store }

func (s lateRecord) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	time.AfterFunc(100*time.Millisecond, func() { _ = s.Store.Append(context.WithoutCancel(ctx), r) })
	return nil
}

type halfAccount struct{ *sqlstore.Store }

func (s halfAccount) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	email := u.EmailKey
	u.EmailKey = ""
	u, err := s.Store.CreateUser(ctx, u)
	if err != nil {
		return u, err
	}
	time.Sleep(100 * time.Millisecond)
	u.EmailKey = email
	return s.UpdateUser(ctx, u)
}

type forgetful struct{ *sqlstore.Store }

func (s forgetful) CreateUser(ctx context.Context, u jwtauth.User) (jwtauth.User, error) {
	u, err := s.Store.CreateUser(ctx, u)
	if err == nil && rand.IntN(3) == 0 {
		time.AfterFunc(100*time.Millisecond, func() { _ = s.DeleteUser(context.Background(), u.ID) })
	}
	return u, err
}

// serveBuggy is a server like the example, with a bug, or with "none". It takes
// the flags that the laboratory gives.
func serveBuggy(bug string, args []string) error {
	f := flag.NewFlagSet("buggy", flag.ContinueOnError)
	addr, issuer, db := f.String("addr", "", ""), f.String("issuer", "", ""), f.String("db", "", "")
	keyDir, mails, _ := f.String("keys", "", ""), f.String("mail", "", ""), f.String("config", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	store, err := openBuggy(strings.TrimPrefix(*db, "sqlite:"), bug == flaky)
	if err != nil {
		return err
	}
	var planted jwtauth.Store = store
	if b, ok := bugs[bug]; ok {
		planted = b.plant(store)
	}
	keys, errKeys := jwtauth.OpenKeys(*keyDir, "ES256")
	secret, errSecret := jwtauth.OpenSecret(*keyDir)
	if err := errors.Join(errKeys, errSecret); err != nil {
		return err
	}
	cfg := jwtauth.Config{Issuer: *issuer, Keys: keys, Secret: secret, Store: planted, Logger: slog.New(slog.DiscardHandler),
		Passwords: jwtauth.PasswordConfig{Memory: 64, Time: 1, InsecureForTests: true}}
	cfg.Limits.Disabled, cfg.Lockout.Disabled = true, true
	cfg.Sessions.Grace, cfg.Sessions.MaxPerUser, cfg.Sessions.EvictOldest = -1, fault.Limit, true
	cfg.Recovery.URL, cfg.Mail.Mailer = "https://app.example.test/reset", mailDir(*mails)
	auth, err := jwtauth.New(cfg)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/wp-json/headlesskey/v1/", http.StripPrefix("/wp-json/headlesskey/v1", auth.Handler()))
	mux.Handle("GET /hello", auth.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.HandleFunc("GET /footprint", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(w, runtime.NumGoroutine(), m.HeapAlloc>>20)
	})
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: *addr, Handler: mux}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := auth.Close(context.Background()); err != nil && bug != flaky {
		return err
	}
	return nil
}

// flaky is no bug: a database that often says that something failed, be it done or
// not. What it said is not acknowledged, so no promise is broken.
const flaky = "database that fails"

func openBuggy(file string, fails bool) (*sqlstore.Store, error) {
	d := integration.SQLiteFile(file)
	pool, err := d.Connect()
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.Open(pool, d.Flavour)
	if err == nil {
		err = store.Migrate(context.Background())
	}
	if err != nil || !fails {
		return store, err
	}
	c, err := d.Connector()
	if err != nil {
		return nil, err
	}
	return sqlstore.Open(sql.OpenDB(integration.Wrap(c, fail)), d.Flavour)
}

// fail fails one time in a hundred, half of them when it was done.
func fail(_ string, run func() error) error {
	dice := rand.IntN(200)
	if dice == 0 { // a COMMIT or ROLLBACK as well: then the transaction is still open
		return errors.New("planted fault, before")
	}
	if err := run(); err != nil {
		return err
	}
	if dice == 1 {
		return errors.New("planted fault, after")
	}
	return nil
}

// mailDir writes mails as the example server does.
type mailDir string

func (dir mailDir) Send(_ context.Context, m jwtauth.Message) error {
	f, err := os.CreateTemp(string(dir), "writing-*")
	if err != nil {
		return err
	}
	defer f.Close()
	body := multipart.NewWriter(f)
	fmt.Fprintf(f, "To: %s\r\nContent-Type: multipart/alternative; boundary=%s\r\n\r\n", m.To, body.Boundary())
	part, err := body.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/plain"}})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(part, strings.ReplaceAll(m.Text, "=", "=3D")); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(string(dir), fmt.Sprintf("0-%s-%s.eml", m.Kind, filepath.Base(f.Name()))))
}

// buggyLab is a run of this program with a bug.
func buggyLab(t *testing.T, bug string) *fault.Lab {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auth.db")
	l := newLab(t, program, integration.SQLiteFile(file), "sqlite:"+file, bugEnv+"="+bug)
	l.Kills, l.Least = 0, 2*time.Second
	return l
}

// TestPlantedBugsAreFound is the test of the laboratory: it must not be blind. A
// busy machine gets a second and a third, longer try.
func TestPlantedBugsAreFound(t *testing.T) {
	for name, bug := range bugs {
		t.Run(name, func(t *testing.T) {
			for try := range 3 {
				l := buggyLab(t, name)
				l.Seed += uint64(try)
				l.Least *= time.Duration(1 + 4*try)
				if bug.kills {
					l.Kills, l.Life = 8*(1+try), 3
				}
				result, err := l.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Log(result)
				if i := slices.IndexFunc(result.Violations, func(v fault.Violation) bool { return v.Invariant == bug.breaks }); i >= 0 {
					t.Log(result.Violations[i].Detail)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// TestServerWithoutABugPasses also looks whether goroutines or memory are left
// when nobody asks for anything any more.
func TestServerWithoutABugPasses(t *testing.T) {
	l := buggyLab(t, "none")
	l.AtRest = func(ctx context.Context) error {
		for _, n := range l.Nodes {
			if err := comesToRest(ctx, n); err != nil {
				return err
			}
		}
		return nil
	}
	wantNone(t, l)
}

// comesToRest waits until a node has few goroutines, those of the runtime, the
// listener, the pool of the database and the request that asks, and a heap as
// small as one that has just started.
func comesToRest(ctx context.Context, n *fault.Node) error {
	const few, mib = 20, 24
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	var count, heap int
	for range 200 {
		q, err := http.NewRequestWithContext(ctx, "GET", n.Base()+"/footprint", nil)
		if err != nil {
			return err
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			return err
		}
		_, err = fmt.Fscan(r.Body, &count, &heap)
		r.Body.Close()
		if err != nil || count <= few && heap <= mib {
			return err
		}
		<-poll.C
	}
	return fmt.Errorf("%d goroutines and %d MiB at rest, want at most %d and %d", count, heap, few, mib)
}

func TestDatabaseThatFailsBreaksNoPromise(t *testing.T) { wantNone(t, buggyLab(t, flaky)) }
