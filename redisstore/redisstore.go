// Package redisstore keeps sessions, revocations, one-time codes and counters of
// package jwtauth in Redis, and counts rate limits there, so that several nodes
// share them:
//
//	client, err := redisstore.NewClient("redis://localhost:6379/0")
//	store, err := redisstore.Open(client, redisstore.Options{})
//	warnings, err := store.Check(ctx) // for the log
//
//	cfg.Sessions.Store, cfg.Revocations, cfg.Codes, cfg.Counters = store, store, store, store
//	cfg.Limits.Limiter = store
//
// Users and events need a database that forgets nothing; take package sqlstore
// for them. [Store.Feed] tells a [jwtauth.RevocationView] what other nodes
// revoke.
//
// # What it asks of Redis
//
// Redis 6.2 or later, alone, behind Sentinel or as a Cluster. It must not evict
// (maxmemory-policy noeviction): an entry that is evicted is a token that lives
// again. It should write an append-only file, since after a restart without one
// the same is true of everything; and Redis replicates asynchronously, so that
// a failover may lose the writes of the last moments, a revocation among them.
// Who can't accept that keeps revocations in SQL. [Store.Check] says what is
// missing.
//
// # Keys
//
// Each verb is one command or one script on one slot, so all of it works in a
// Cluster. The sessions of a user are together, in two keys with the tag
// {u:USER}; a third, on the slot of the session's id, only says whose it is. It
// is written before the session, removed after it and never believed, so
// that a verb which stops between the two has done all of its work or none.
//
// Time comes from the arguments. Redis only frees memory: a key lives until all
// that it says is over, and for a margin after.
package redisstore

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
)

// Options are the settings of a [Store].
type Options struct {
	// Prefix begins all keys and the name of the channel. Two systems in one
	// Redis need two. Default "jwtauth:"; it can't have braces, which mean
	// something in a Cluster.
	Prefix string
}

// Store implements the interfaces that it is made of, and [jwtauth.Limiter].
// Make one with [Open]; it is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	prefix string
	owners ownerHints
}

var (
	_ jwtauth.SessionStore    = (*Store)(nil)
	_ jwtauth.RevocationStore = (*Store)(nil)
	_ jwtauth.CodeStore       = (*Store)(nil)
	_ jwtauth.CounterStore    = (*Store)(nil)
	_ jwtauth.Limiter         = (*Store)(nil)
	_ jwtauth.StoreClock      = (*Store)(nil)
)

// margin is how long a key stays after what it says is over by the clock of
// whoever wrote it: clocks may differ by that much. It is the larger one where
// only an absolute time is known, so that the clock of Redis matters.
const (
	margin      = 10 * time.Minute
	clockMargin = time.Hour
)

// NewClient returns a client for a URL with the settings that [Open] asks for:
// redis://user:password@host:6379/0, rediss:// for TLS, unix:// for a socket.
// With further nodes, as in redis://host:6379?addr=host2:6379, it is a client
// for a Cluster. It does not connect yet.
func NewClient(url string) (redis.UniversalClient, error) {
	if strings.Contains(url, "addr=") {
		opt, err := redis.ParseClusterURL(url)
		if err != nil {
			return nil, errURL
		}
		opt.ContextTimeoutEnabled = true
		return redis.NewClusterClient(opt), nil
	}
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, errURL
	}
	opt.ContextTimeoutEnabled = true
	return redis.NewClient(opt), nil
}

// errURL says nothing of the URL, or of what is wrong: there is a password in it.
var errURL = errors.New("redisstore: not a URL of Redis, like redis://user:password@host:6379/0")

// Open returns a store on a client that stays the caller's to close. It refuses
// one whose answers could be stale or that ignores the time limit of a call:
//
//   - reads from replicas (ReadOnly, RouteByLatency, RouteRandomly) or from a
//     cache of the client: a revocation would be missed;
//   - without ContextTimeoutEnabled: a call would not end with its context;
//   - a Ring: it moves keys when a node is down, and finds none of them then.
//
// It does not connect; [Store.Check] does.
func Open(client redis.UniversalClient, opt Options) (*Store, error) {
	if opt.Prefix == "" {
		opt.Prefix = "jwtauth:"
	}
	if strings.ContainsAny(opt.Prefix, "{}") {
		return nil, errors.New("redisstore: Options.Prefix must not have braces")
	}
	if err := checkClient(client); err != nil {
		return nil, err
	}
	return &Store{client: client, prefix: opt.Prefix}, nil
}

func checkClient(client redis.UniversalClient) error {
	var timeouts, replicas, cached bool
	switch c := client.(type) {
	case nil:
		return errors.New("redisstore: no client")
	case *redis.Ring:
		return errors.New("redisstore: a Ring loses its keys when a node is down; use a Cluster")
	case *redis.Client:
		o := c.Options()
		timeouts, cached = o.ContextTimeoutEnabled, o.ClientSideCacheConfig != nil || o.ClientSideCache != nil
	case *redis.ClusterClient:
		o := c.Options()
		timeouts, replicas = o.ContextTimeoutEnabled, o.ReadOnly || o.RouteByLatency || o.RouteRandomly
	default: // a wrapper: whoever wrote it knows
		return nil
	}
	var errs []error
	if !timeouts {
		errs = append(errs, errors.New("redisstore: the client needs ContextTimeoutEnabled, or a call does not end with its context"))
	}
	if replicas {
		errs = append(errs, errors.New("redisstore: the client reads from replicas, which may lag behind: a revoked token would be accepted"))
	}
	if cached {
		errs = append(errs, errors.New("redisstore: the client caches what it reads: a revoked token would be accepted"))
	}
	return errors.Join(errs...)
}

// The keys. Each kind has a letter, so that no two of them meet whatever the
// ids are.

// userKeys are the sessions of a user: the rows, and when they end. The tag puts
// both on one slot. It is never empty and begins with our brace, so it works for
// every id, with braces or without.
func (s *Store) userKeys(userID string) []string {
	return []string{s.prefix + "s:{u:" + userID + "}", s.prefix + "e:{u:" + userID + "}"}
}

func (s *Store) ownerKey(sessionID string) string { return s.prefix + "i:" + sessionID }
func (s *Store) revokedKey(kind revokedKind, id string) string {
	return s.prefix + "r" + string(kind) + ":" + id
}
func (s *Store) codeKey(key string) string    { return s.prefix + "c:" + key }
func (s *Store) claimKey(key string) string   { return s.prefix + "o:" + key }
func (s *Store) counterKey(key string) string { return s.prefix + "n:" + key }
func (s *Store) channel() string              { return s.prefix + "revoked" }

// script is Lua that runs as a whole or not at all.
type script struct{ text, hash string }

//go:embed scripts/*.lua
var scripts embed.FS

// newScript reads a script and puts what all of them share in front.
func newScript(name string) script {
	text := readScript("keep") + readScript(name)
	sum := sha1.Sum([]byte(text)) // a name that EVALSHA asks for, no protection
	return script{text, hex.EncodeToString(sum[:])}
}

func readScript(name string) string {
	text, err := scripts.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic("redisstore: " + err.Error())
	}
	return string(text)
}

// once is a command that the client does not repeat by itself: where the answer
// got lost, the script may have run, and a second run would count twice or tell
// the winner that it lost. The caller gets a fault and decides.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// run executes a script by its hash. A server that does not know it has not run
// it, and gets it whole.
func (s *Store) run(ctx context.Context, sc script, keys []string, args ...any) *redis.Cmd {
	cmd := s.eval(ctx, "evalsha", sc.hash, keys, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return s.eval(ctx, "eval", sc.text, keys, args)
	}
	return cmd
}

func (s *Store) eval(ctx context.Context, name, script string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, name, script, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	_ = s.client.Process(ctx, once{cmd}) // which cmd has as well
	return cmd
}

// fault says which verb failed. It is never one of jwtauth's sentinels.
func fault(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", verb, err)
}

// errCorrupt is what an entry gives that this package has not written.
var errCorrupt = errors.New("entry is not in the expected form")

// keepFor is how long a key stays that matters for d, by one clock.
func keepFor(d time.Duration) time.Duration {
	const longest = 100 * 365 * 24 * time.Hour
	return min(max(d, 0), longest) + margin
}
