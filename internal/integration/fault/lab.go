package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-jwtauth/jwtauth"
	"github.com/go-jwtauth/jwtauth/internal/integration"
	"github.com/go-jwtauth/jwtauth/sqlstore"
)

// Lab is one run: nodes on one database, clients, and somebody who kills.
type Lab struct {
	Nodes    []*Node
	Database integration.Database
	// Behind is a server that the nodes depend on. It is killed as well, and the
	// network to it fails now and then, where they are set.
	Behind  Killable
	Network *Proxy
	// Keys and Mails are the directories of the nodes.
	Keys, Mails string
	Clients     int
	Seed        uint64
	// Life is after how many actions a client registers anew.
	Life int
	// Kills and Least are what a run has to have before it ends; every
	// operation has to have succeeded as well. At Most it ends in any case.
	Kills       int
	Least, Most time.Duration
	// AtRest, if set, is called when the clients are gone and the nodes still
	// there.
	AtRest func(ctx context.Context) error
}

// Killable is a server that is started again on its data.
type Killable interface {
	Kill() error
	Start(ctx context.Context) error
}

const (
	// Issuer is the same for all nodes.
	Issuer = "https://auth.example.test"
	// Limit is how many sessions an account may have.
	Limit = 3
	// Config is the file that the nodes are started with.
	Config = `{"hash":{"memory_kib":64,"time":1,"insecure_for_tests":true},"limits":{"disabled":true},"lockout":{"disabled":true},
		"sessions":{"grace_seconds":0,"max_per_user":3,"evict_oldest":true},
		"recovery_url":"https://app.example.test/reset"}`
)

// Result is what a run showed.
type Result struct {
	Requests, Unanswered, Accounts, Records int
	ServerKills, DatabaseKills, Cuts        int
	// Done counts the acknowledged requests of each operation.
	Done       map[string]int
	Violations []Violation
}

func (r Result) String() string {
	return fmt.Sprintf("%d kills of servers, %d of the database, %d failures of the network; %d requests, %d without an answer; done %v; %d accounts, %d records; %d violations",
		r.ServerKills, r.DatabaseKills, r.Cuts, r.Requests, r.Unanswered, r.Done, r.Accounts, r.Records, len(r.Violations))
}

// Run starts the nodes, kills and starts them again while clients work, and
// checks what is left.
func (l *Lab) Run(ctx context.Context) (result Result, err error) {
	for _, n := range l.Nodes {
		if err := n.Start(ctx); err != nil {
			return result, err
		}
		defer n.Kill()
	}
	h := NewHistory()
	clients := Clients{History: h, Mails: l.Mails, Seed: l.Seed, Life: l.Life}
	for _, n := range l.Nodes {
		clients.Bases = append(clients.Bases, n.Base())
	}
	working, stop := context.WithTimeout(ctx, l.Most)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients.Run(working, l.Clients)
	}()
	err = l.harm(working, h, &result)
	stop()
	<-done
	if err == nil && l.AtRest != nil {
		err = l.AtRest(ctx)
	}
	if err != nil {
		return result, err
	}
	return result, l.check(ctx, h.Entries(), clients, &result)
}

// harm goes on until it is enough. One node at a time is down. Of ten times one
// concerns the database and three the network to it, if those are ours.
func (l *Lab) harm(ctx context.Context, h *History, result *Result) error {
	random := rand.New(rand.NewPCG(l.Seed, 1<<32))
	for result.ServerKills < l.Kills {
		if !pause(ctx, time.Duration(50+random.IntN(400))*time.Millisecond) {
			return nil
		}
		dice := random.IntN(10)
		var err error
		switch {
		case dice == 0 && l.Behind != nil:
			result.DatabaseKills++
			err = errors.Join(l.Behind.Kill(), l.Behind.Start(context.WithoutCancel(ctx)))
		case dice <= 3 && l.Network != nil:
			result.Cuts++
			l.disturb(ctx, dice)
		default:
			result.ServerKills++
			n := l.Nodes[random.IntN(len(l.Nodes))]
			err = errors.Join(n.Kill(), n.Start(context.WithoutCancel(ctx)))
		}
		if err != nil {
			return err
		}
	}
	for h.now() < l.Least || !h.complete() {
		if !pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
	pause(ctx, time.Second) // some work in peace
	return nil
}

// disturb cuts the connections to the database, delays what they carry, or lets
// them hang.
func (l *Lab) disturb(ctx context.Context, how int) {
	switch how {
	case 1:
		l.Network.Cut()
	case 2:
		l.Network.Delay(20 * time.Millisecond)
		pause(ctx, 500*time.Millisecond)
		l.Network.Delay(0)
	default:
		l.Network.Freeze()
		pause(ctx, 500*time.Millisecond)
		l.Network.Cut() // what was on its way is lost
		l.Network.Thaw()
	}
}

func (l *Lab) check(ctx context.Context, entries []Entry, clients Clients, result *Result) error {
	final, err := l.final(ctx, entries, clients)
	if err != nil {
		return err
	}
	result.Done = make(map[string]int)
	for _, e := range entries {
		result.Requests++
		if e.acknowledged() {
			result.Done[e.Op]++
		}
		if e.Status == 0 {
			result.Unanswered++
		}
	}
	result.Accounts, result.Records = len(final.Accounts), len(final.Trail)
	result.Violations = Check(entries, final, Limit)
	return nil
}

// final logs in to every account by name and by address, ends the nodes in
// peace, and reads the store.
func (l *Lab) final(ctx context.Context, entries []Entry, clients Clients) (Final, error) {
	f := Final{Accounts: make(map[string]Presence)}
	for _, e := range entries {
		if e.Op == Register {
			f.Accounts[e.User] = Presence{}
		}
	}
	db, err := l.Database.Connect()
	if err != nil {
		return f, err
	}
	defer db.Close()
	store, err := sqlstore.Open(db, l.Database.Flavour)
	if err != nil {
		return f, err
	}
	for user := range f.Accounts {
		p, err := presence(ctx, store, user)
		if err != nil {
			return f, err
		}
		f.Accounts[user] = p
	}
	if err := l.logIn(ctx, f.Accounts, clients); err != nil {
		return f, err
	}
	for _, n := range l.Nodes {
		if err := n.Stop(); err != nil {
			return f, err
		}
	}
	f.Trail, f.Chain, err = l.trail(ctx, store)
	return f, err
}

func presence(ctx context.Context, store *sqlstore.Store, user string) (p Presence, err error) {
	byName, err := store.UserByLogin(ctx, user)
	if err != nil && !errors.Is(err, jwtauth.ErrNotFound) {
		return p, err
	}
	byEmail, err := store.UserByLogin(ctx, user+domain)
	if err != nil && !errors.Is(err, jwtauth.ErrNotFound) {
		return p, err
	}
	p = Presence{ByName: byName.ID != "", ByEmail: byEmail.ID != "" && (byName.ID == "" || byEmail.ID == byName.ID)}
	p.ID = byName.ID + byEmail.ID
	if byName.ID != "" {
		p.ID = byName.ID
	}
	list, err := store.Sessions(ctx, p.ID, time.Now())
	p.Sessions = len(list)
	return p, err
}

// logIn also asks a server: an account that is in the store and that nobody can
// log in to is lost as well.
func (l *Lab) logIn(ctx context.Context, accounts map[string]Presence, clients Clients) error {
	w := worker{Clients: &clients}
	w.http = &http.Client{Timeout: 20 * time.Second}
	defer w.http.CloseIdleConnections()
	for _, user := range slices.Sorted(maps.Keys(accounts)) {
		p := accounts[user]
		p.ByName = p.ByName && w.canLogIn("username", user)
		p.ByEmail = p.ByEmail && w.canLogIn("email", user+domain)
		accounts[user] = p
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// canLogIn tries both passwords, until a server says yes or no.
func (w *worker) canLogIn(field, login string) bool {
	const tries = 50
	for range tries {
		busy := false
		for _, password := range []string{firstPassword, secondPassword} {
			status, _ := w.exchange("POST", w.url(0, "/token"), map[string]string{field: login, "password": password}, "")
			if status == http.StatusOK {
				return true
			}
			busy = busy || status == 0 || status >= 500
		}
		if !busy {
			return false
		}
	}
	return false
}

// trail reads it as the nodes would.
func (l *Lab) trail(ctx context.Context, store *sqlstore.Store) (events []jwtauth.Event, chain error, err error) {
	keys, err := jwtauth.OpenKeys(l.Keys, "ES256")
	if err != nil {
		return nil, nil, err
	}
	secret, err := jwtauth.OpenSecret(l.Keys)
	if err != nil {
		return nil, nil, err
	}
	auth, err := jwtauth.New(jwtauth.Config{Issuer: Issuer, Keys: keys, Secret: secret, Store: store})
	if err != nil {
		return nil, nil, err
	}
	_, chain = auth.VerifyTrail(ctx)
	for filter := (jwtauth.EventFilter{Limit: 1000}); ; {
		page, err := auth.Events(ctx, filter)
		if err != nil {
			return nil, nil, err
		}
		events = append(events, page...)
		if len(page) < filter.Limit {
			return events, chain, nil
		}
		filter.Before = page[len(page)-1].ID
	}
}
