package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxClockSkew is how far the clocks may differ before Check mentions it. Beyond
// an hour revocations would be dropped too early.
const maxClockSkew = time.Minute

// Check asks every master whether it is set up as a store of revocations has to
// be, and returns a sentence for each thing that is not: entries may be evicted,
// nothing is kept over a restart, the clocks differ. They are for the log at the
// start; none of them stops the store from working. An error means that Redis
// did not answer, or is not one that this package works with.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	var mu sync.Mutex
	check := func(ctx context.Context, node *redis.Client) error {
		found, err := checkNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, text := range found {
			warnings = append(warnings, "Redis at "+node.Options().Addr+": "+text)
		}
		return err
	}
	switch c := s.client.(type) {
	case *redis.Client:
		err = check(ctx, c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, check)
	default:
		warnings = append(warnings, "the client is of an unknown kind: nothing was checked")
		err = s.client.Ping(ctx).Err()
	}
	return warnings, fault("Check", err)
}

func checkNode(ctx context.Context, node *redis.Client) ([]string, error) {
	before := time.Now()
	serverTime, err := node.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	skew := max(before.Sub(serverTime), time.Until(serverTime))
	text, err := node.Info(ctx, "everything").Result()
	if err != nil {
		return nil, err
	}
	info := parseInfo(text)
	warnings := info.warnings()
	if skew > maxClockSkew {
		warnings = append(warnings, fmt.Sprintf("its clock differs from ours by %v; beyond an hour, revocations would be dropped too early", skew.Round(time.Second)))
	}
	return warnings, info.unusable(node)
}

// ServerTime implements [jwtauth.StoreClock] by the clock of any one node. Check
// looks at all of them.
func (s *Store) ServerTime(ctx context.Context) (time.Time, error) {
	t, err := s.client.Time(ctx).Result()
	return t, fault("ServerTime", err)
}

// info is what INFO says, by name.
type info map[string]string

func parseInfo(text string) info {
	m := make(info)
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ":")
		if found && !strings.HasPrefix(name, "#") {
			m[name] = value
		}
	}
	return m
}

// warnings are about what Redis may forget.
func (m info) warnings() []string {
	var w []string
	if policy := m["maxmemory_policy"]; policy != "noeviction" {
		w = append(w, fmt.Sprintf("maxmemory-policy is %q and must be \"noeviction\": a revocation that is evicted makes its token valid again, and every key of ours can be chosen", policy))
	}
	switch {
	case m["aof_enabled"] != "1":
		w = append(w, "appendonly is off: a restart forgets sessions, and revocations whose tokens then live on")
	case m["aof_last_write_status"] == "err":
		w = append(w, "the append-only file can't be written: a restart would forget what is new")
	}
	return w
}

// unusable says why no verb would work, or none reliably.
func (m info) unusable(node *redis.Client) error {
	switch {
	case m["role"] == "slave":
		return fmt.Errorf("%s is a replica: it can't be written to, and may lag behind", node.Options().Addr)
	case tooOld(m["redis_version"]):
		return fmt.Errorf("%s is version %s; 6.2 or later is needed", node.Options().Addr, m["redis_version"])
	}
	return nil
}

// tooOld is false for what calls itself otherwise: forks count as they like.
func tooOld(version string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major < 6 || major == 6 && minor < 2
}
