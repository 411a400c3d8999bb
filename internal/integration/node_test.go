package integration_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
	"github.com/go-jwtauth/jwtauth/storetest"
)

// A node is this test program once more, with a store of its own on the database
// of the test. It takes calls over its standard input and output.

const nodeEnv = "JWTAUTH_TEST_NODE"

// Request is one call of a method of the store.
type Request struct {
	ID     int64
	Method string
	Args   []byte // gob, one after another, without the context
}

// Response is what it returned. Code is that of a sentinel, Fault the text of any
// other error.
type Response struct {
	Results     []byte
	Code, Fault string
}

// stdio is the connection of a node.
type stdio struct {
	io.Reader
	io.WriteCloser
}

func serveNode() {
	server := rpc.NewServer()
	if err := server.RegisterName("Node", &node{running: make(map[int64]context.CancelFunc)}); err != nil {
		panic(err)
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
}

// node is the far end.
type node struct {
	store *sqlstore.Store
	close func() error

	mu      sync.Mutex
	running map[int64]context.CancelFunc
}

// Open leaves the database that the node had for another one.
func (n *node) Open(d integration.Database, _ *bool) error {
	if n.close != nil {
		n.close()
	}
	db, err := d.Connect()
	if err != nil {
		return err
	}
	n.close = db.Close
	n.store, err = sqlstore.Open(db, d.Flavour)
	return err
}

// Cancel ends the context of a call.
func (n *node) Cancel(id int64, _ *bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if cancel := n.running[id]; cancel != nil {
		cancel()
	}
	return nil
}

// Call calls a method of the store.
func (n *node) Call(q Request, out *Response) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.mu.Lock()
	n.running[q.ID] = cancel
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.running, q.ID)
		n.mu.Unlock()
	}()
	method := reflect.ValueOf(n.store).MethodByName(q.Method)
	args := []reflect.Value{reflect.ValueOf(ctx)}
	dec := gob.NewDecoder(bytes.NewReader(q.Args))
	for i := 1; i < method.Type().NumIn(); i++ {
		arg := reflect.New(method.Type().In(i))
		if err := dec.DecodeValue(arg); err != nil {
			return err
		}
		args = append(args, arg.Elem())
	}
	results := method.Call(args)
	last := len(results) - 1
	if err, _ := results[last].Interface().(error); err != nil {
		var known *jwtauth.Error
		if errors.As(err, &known) {
			out.Code = known.Code
		} else {
			out.Fault = err.Error()
		}
		return nil
	}
	var buf bytes.Buffer
	enc := gob.NewEncoder(&buf)
	for _, r := range results[:last] {
		if err := enc.EncodeValue(r); err != nil {
			return err
		}
	}
	out.Results = buf.Bytes()
	return nil
}

// startNode starts one. It ends with the test.
func startNode(t *testing.T) *rpc.Client {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), nodeEnv+"=1")
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	client := rpc.NewClient(stdio{out, in})
	t.Cleanup(func() {
		client.Close() // and with its input the node ends
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return client
}

// nodes is a jwtauth.Store that gives each call to another node than the one
// before.
type nodes struct {
	clients []*rpc.Client
	calls   *atomic.Int64
}

var known = []*jwtauth.Error{jwtauth.ErrNotFound, jwtauth.ErrConflict, jwtauth.ErrLoginTaken, jwtauth.ErrEmailTaken,
	jwtauth.ErrIdentityTaken, jwtauth.ErrTooManySessions, jwtauth.ErrInvalidInput}

func (n nodes) call(ctx context.Context, method string, args []any, results ...any) error {
	id := n.calls.Add(1)
	q := Request{ID: id, Method: method}
	var buf bytes.Buffer
	enc := gob.NewEncoder(&buf)
	for _, arg := range args {
		if err := enc.Encode(arg); err != nil {
			return err
		}
	}
	q.Args = buf.Bytes()
	if err := ctx.Err(); err != nil {
		return err
	}
	client := n.clients[id%int64(len(n.clients))]
	var out Response
	call := client.Go("Node.Call", q, &out, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		_ = client.Call("Node.Cancel", id, nil)
		<-call.Done
	}
	if call.Error != nil {
		return call.Error
	}
	for _, sentinel := range known {
		if out.Code == sentinel.Code {
			return sentinel
		}
	}
	if out.Code+out.Fault != "" {
		return errors.New(out.Code + out.Fault)
	}
	dec := gob.NewDecoder(bytes.NewReader(out.Results))
	for _, r := range results {
		if err := dec.Decode(r); err != nil {
			return err
		}
	}
	return nil
}

func (n nodes) CreateUser(ctx context.Context, u jwtauth.User) (out jwtauth.User, err error) {
	err = n.call(ctx, "CreateUser", []any{u}, &out)
	return out, err
}

func (n nodes) UserByID(ctx context.Context, id string) (out jwtauth.User, err error) {
	err = n.call(ctx, "UserByID", []any{id}, &out)
	return out, err
}

func (n nodes) UserByLogin(ctx context.Context, key string) (out jwtauth.User, err error) {
	err = n.call(ctx, "UserByLogin", []any{key}, &out)
	return out, err
}

func (n nodes) UpdateUser(ctx context.Context, u jwtauth.User) (out jwtauth.User, err error) {
	err = n.call(ctx, "UpdateUser", []any{u}, &out)
	return out, err
}

func (n nodes) DeleteUser(ctx context.Context, id string) error {
	return n.call(ctx, "DeleteUser", []any{id})
}

func (n nodes) ListUsers(ctx context.Context, q jwtauth.UserQuery) (out []jwtauth.User, err error) {
	err = n.call(ctx, "ListUsers", []any{q}, &out)
	return out, err
}

func (n nodes) CreateSession(ctx context.Context, s jwtauth.Session, l jwtauth.SessionLimit) (out []jwtauth.Session, err error) {
	err = n.call(ctx, "CreateSession", []any{s, l}, &out)
	return out, err
}

func (n nodes) Session(ctx context.Context, id string) (out jwtauth.Session, err error) {
	err = n.call(ctx, "Session", []any{id}, &out)
	return out, err
}

func (n nodes) AdvanceSession(ctx context.Context, adv jwtauth.SessionAdvance) (out jwtauth.Session, moved bool, err error) {
	err = n.call(ctx, "AdvanceSession", []any{adv}, &out, &moved)
	return out, moved, err
}

func (n nodes) EndSession(ctx context.Context, id string) error {
	return n.call(ctx, "EndSession", []any{id})
}

func (n nodes) EndSessions(ctx context.Context, userID, except string) (out []string, err error) {
	err = n.call(ctx, "EndSessions", []any{userID, except}, &out)
	return out, err
}

func (n nodes) Sessions(ctx context.Context, userID string, now time.Time) (out []jwtauth.Session, err error) {
	err = n.call(ctx, "Sessions", []any{userID, now}, &out)
	return out, err
}

func (n nodes) Revoke(ctx context.Context, r jwtauth.Revocation) error {
	return n.call(ctx, "Revoke", []any{r})
}

func (n nodes) Revoked(ctx context.Context, ref jwtauth.TokenRef) (out bool, err error) {
	err = n.call(ctx, "Revoked", []any{ref}, &out)
	return out, err
}

func (n nodes) PutCode(ctx context.Context, c jwtauth.OneTimeCode) error {
	return n.call(ctx, "PutCode", []any{c})
}

func (n nodes) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (out jwtauth.OneTimeCode, err error) {
	err = n.call(ctx, "ConsumeCode", []any{key, hash, now}, &out)
	return out, err
}

func (n nodes) ClaimOnce(ctx context.Context, key string, now, until time.Time) (out bool, err error) {
	err = n.call(ctx, "ClaimOnce", []any{key, now, until}, &out)
	return out, err
}

func (n nodes) Hit(ctx context.Context, key string, limit int, window time.Duration, now time.Time) (out jwtauth.Count, err error) {
	err = n.call(ctx, "Hit", []any{key, limit, window, now}, &out)
	return out, err
}

func (n nodes) Refund(ctx context.Context, key string, now time.Time) error {
	return n.call(ctx, "Refund", []any{key, now})
}

func (n nodes) Reset(ctx context.Context, key string) error {
	return n.call(ctx, "Reset", []any{key})
}

func (n nodes) Append(ctx context.Context, r jwtauth.AuditRecord) error {
	return n.call(ctx, "Append", []any{r})
}

func (n nodes) Query(ctx context.Context, q jwtauth.AuditQuery) (out []jwtauth.AuditRecord, err error) {
	err = n.call(ctx, "Query", []any{q}, &out)
	return out, err
}

func (n nodes) Follow(ctx context.Context, after int64, limit int) (out []jwtauth.AuditRecord, err error) {
	err = n.call(ctx, "Follow", []any{after, limit}, &out)
	return out, err
}

func (n nodes) AuditMarks(ctx context.Context) (anchor, head jwtauth.AuditMark, err error) {
	err = n.call(ctx, "AuditMarks", nil, &anchor, &head)
	return anchor, head, err
}

func (n nodes) Unsealed(ctx context.Context, limit int) (out []jwtauth.AuditRecord, err error) {
	err = n.call(ctx, "Unsealed", []any{limit}, &out)
	return out, err
}

func (n nodes) Seal(ctx context.Context, from jwtauth.AuditMark, seals []jwtauth.AuditSeal, head jwtauth.AuditMark) error {
	return n.call(ctx, "Seal", []any{from, seals, head})
}

func (n nodes) PurgeAudit(ctx context.Context, anchor jwtauth.AuditMark) error {
	return n.call(ctx, "PurgeAudit", []any{anchor})
}

func (n nodes) AuditKey(ctx context.Context, userID string, candidate jwtauth.AuditKey) (out jwtauth.AuditKey, err error) {
	err = n.call(ctx, "AuditKey", []any{userID, candidate}, &out)
	return out, err
}

func (n nodes) EraseAuditKey(ctx context.Context, userID string) error {
	return n.call(ctx, "EraseAuditKey", []any{userID})
}

func (n nodes) HoldCursor(ctx context.Context, name, holder string, start int64, now, until time.Time) (out jwtauth.Cursor, err error) {
	err = n.call(ctx, "HoldCursor", []any{name, holder, start, now, until}, &out)
	return out, err
}

func (n nodes) MoveCursor(ctx context.Context, name, holder string, to int64, now time.Time) error {
	return n.call(ctx, "MoveCursor", []any{name, holder, to, now})
}

func (n nodes) ReleaseCursor(ctx context.Context, name, holder string) error {
	return n.call(ctx, "ReleaseCursor", []any{name, holder})
}

func (n nodes) Cursors(ctx context.Context) (out []jwtauth.Cursor, err error) {
	err = n.call(ctx, "Cursors", nil, &out)
	return out, err
}

func (n nodes) PutDeadLetter(ctx context.Context, d jwtauth.DeadLetter) error {
	return n.call(ctx, "PutDeadLetter", []any{d})
}

func (n nodes) DeadLetters(ctx context.Context, cursor string, after int64, limit int) (out []jwtauth.DeadLetter, err error) {
	err = n.call(ctx, "DeadLetters", []any{cursor, after, limit}, &out)
	return out, err
}

func (n nodes) DropDeadLetter(ctx context.Context, cursor string, sequence int64) error {
	return n.call(ctx, "DropDeadLetter", []any{cursor, sequence})
}

// TestStoreOfTwoProcesses gives every other call to another process.
func TestStoreOfTwoProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, empty func(t testing.TB) integration.Database) {
		d := empty(t)
		db := d.Open(t)
		integration.Migrated(t, db, d.Flavour)
		n := nodes{clients: []*rpc.Client{startNode(t), startNode(t)}, calls: new(atomic.Int64)}
		for _, c := range n.clients {
			if err := c.Call("Node.Open", d, nil); err != nil {
				t.Fatal(err)
			}
		}
		storetest.Run(t, func(t *testing.T) jwtauth.Store {
			integration.Clear(t, db, d.Flavour)
			return n
		})
	})
}

// A transaction that was cut off closed its connection, and with it a database in
// memory.
func TestMemoryDatabaseSurvivesClientsThatLeave(t *testing.T) {
	db, err := sql.Open("sqlite", "file::memory:?_pragma=busy_timeout(1000)")
	must(t, err)
	db.SetMaxOpenConns(1)
	s := integration.Migrated(t, db, sqlstore.SQLite)
	for i := range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%300)*time.Microsecond)
		_, _ = s.CreateUser(ctx, jwtauth.User{LoginKey: fmt.Sprint("u", i)}) // some in time
		cancel()
		if _, err := s.UserByLogin(t.Context(), "nobody"); !errors.Is(err, jwtauth.ErrNotFound) {
			t.Fatalf("after %d calls: %v", i+1, err)
		}
	}
}
