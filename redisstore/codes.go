package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-jwtauth/jwtauth"
)

var (
	putCode     = newScript("put_code")
	consumeCode = newScript("consume_code")
	claimOnce   = newScript("claim_once")
)

// PutCode implements [jwtauth.CodeStore] with one command.
func (s *Store) PutCode(ctx context.Context, c jwtauth.OneTimeCode) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fault("PutCode", s.run(ctx, putCode, []string{s.codeKey(c.Key)},
		c.Hash, c.Version, c.Attempts, stamp(c.Expires), c.Expires.UnixMilli()+1, clockMargin.Milliseconds()).Err())
}

// ConsumeCode implements [jwtauth.CodeStore] with one command. An empty hash is
// always wrong, so that a code that was stored without one can't be used.
func (s *Store) ConsumeCode(ctx context.Context, key string, hash []byte, now time.Time) (jwtauth.OneTimeCode, error) {
	if err := ctx.Err(); err != nil {
		return jwtauth.OneTimeCode{}, err
	}
	reply, err := s.run(ctx, consumeCode, []string{s.codeKey(key)}, hash, stamp(now)).Result()
	if errors.Is(err, redis.Nil) {
		return jwtauth.OneTimeCode{}, jwtauth.ErrNotFound
	}
	if err != nil {
		return jwtauth.OneTimeCode{}, fault("ConsumeCode", err)
	}
	parts, right := reply.([]any)
	if !right {
		return jwtauth.OneTimeCode{}, jwtauth.ErrConflict
	}
	c, err := decodeCode(parts)
	if err != nil {
		return jwtauth.OneTimeCode{}, fault("ConsumeCode", err)
	}
	c.Key, c.Hash = key, append([]byte(nil), hash...)
	return c, nil
}

func decodeCode(parts []any) (c jwtauth.OneTimeCode, err error) {
	if len(parts) != 3 {
		return c, errCorrupt
	}
	version, _ := parts[0].(string)
	attempts, _ := parts[1].(string)
	expires, _ := parts[2].(string)
	if c.Version, err = strconv.ParseInt(version, 10, 64); err != nil {
		return c, errCorrupt
	}
	if c.Attempts, err = strconv.Atoi(attempts); err != nil {
		return c, errCorrupt
	}
	c.Expires, err = parseStamp(expires)
	return c, err
}

// ClaimOnce implements [jwtauth.CodeStore] with one command.
func (s *Store) ClaimOnce(ctx context.Context, key string, now, until time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if !until.After(now) {
		return false, nil
	}
	n, err := s.run(ctx, claimOnce, []string{s.claimKey(key)},
		stamp(now), stamp(until), keepFor(until.Sub(now)).Milliseconds()).Int()
	return n == 1, fault("ClaimOnce", err)
}
