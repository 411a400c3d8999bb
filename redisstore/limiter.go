package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/go-jwtauth/jwtauth"
)

var allow = newScript("allow")

const (
	// maxLimiterKey bounds the memory of a key; longer ones are hashed.
	maxLimiterKey = 64
	// bucketMargin is how long a bucket stays once it is full again and
	// would be treated like a new one anyway. It is short: strangers decide
	// how many there are.
	bucketMargin = 30 * time.Second
	// farAway bounds seconds to what Lua counts exactly.
	farAway = 1 << 50
)

// Allow implements [jwtauth.Limiter] with one command. The buckets are those of
// [jwtauth.MemoryLimiter], shared by all nodes: what passes on all of them
// together is exactly what the rule allows, where the clocks of the nodes agree,
// and what comes back in the time by which they differ beside it. The number of
// keys is bounded by Redis' memory alone; a key leaves half a minute after its
// bucket is full again.
func (s *Store) Allow(ctx context.Context, key string, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
	if err := ctx.Err(); err != nil {
		return jwtauth.Usage{}, err
	}
	if err := checkRule(rule); err != nil {
		return jwtauth.Usage{}, fault("Allow", err)
	}
	seconds := min(max(now.Unix(), -farAway), farAway)
	reply, err := s.run(ctx, allow, []string{s.bucketKey(key)},
		seconds, now.Nanosecond(), rule.Limit, int64(rule.Per), bucketMargin.Milliseconds()).Slice()
	if err != nil {
		return jwtauth.Usage{}, fault("Allow", err)
	}
	u, err := usage(reply, rule, now)
	if err != nil {
		return jwtauth.Usage{}, fault("Allow", err)
	}
	return u, nil
}

// checkRule has the bounds of [jwtauth.Rule], which keep the arithmetic exact.
func checkRule(r jwtauth.Rule) error {
	if r.Limit < 1 || r.Limit > 1_000_000 || r.Per < time.Second || r.Per > 31*24*time.Hour {
		return errors.New("a rule without a valid limit can't be counted")
	}
	return nil
}

// bucketKey has letters of its own for keys that are hashed: no short one looks
// like them.
func (s *Store) bucketKey(key string) string {
	if len(key) > maxLimiterKey {
		sum := sha256.Sum256([]byte(key))
		return s.prefix + "lh:" + string(sum[:])
	}
	return s.prefix + "l:" + key
}

// usage reads the reply of allow.lua.
func usage(reply []any, rule jwtauth.Rule, now time.Time) (jwtauth.Usage, error) {
	if len(reply) != 4 {
		return jwtauth.Usage{}, errCorrupt
	}
	allowed, ok := reply[0].(int64)
	texts := make([]string, 3)
	for i := range texts {
		text, isText := reply[i+1].(string)
		texts[i], ok = text, ok && isText
	}
	seconds, errSeconds := strconv.ParseInt(texts[0], 10, 64)
	nanos, errNanos := strconv.ParseInt(texts[1], 10, 64)
	debt, errDebt := strconv.ParseFloat(texts[2], 64)
	if !ok || errors.Join(errSeconds, errNanos, errDebt) != nil || !(debt >= 0 && debt <= float64(rule.Per)) {
		return jwtauth.Usage{}, errCorrupt
	}
	at := time.Unix(seconds, nanos)
	each := float64(rule.Per) / float64(rule.Limit)
	u := jwtauth.Usage{Allowed: allowed == 1, Limit: rule.Limit, Reset: at.Add(up(debt))}
	// What comes back within a nanosecond is there: see allow.lua.
	u.Remaining = max(int(math.Floor((float64(rule.Per)-debt+1)/each)), 0)
	if !u.Allowed {
		u.Remaining = 0
		u.RetryAfter = at.Add(up(debt + each - float64(rule.Per))).Sub(now)
	}
	return u, nil
}

// up rounds up: whoever waits that long is not told to wait again.
func up(ns float64) time.Duration { return time.Duration(math.Ceil(ns)) }
