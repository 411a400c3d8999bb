-- Stores a code in place of an older one. KEYS: its entry. ARGV: hash, version,
-- attempts, end (stamp), end (Unix ms), margin (ms).
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'version', ARGV[2], 'attempts', ARGV[3], 'expires', ARGV[4])
redis.call('PEXPIRE', KEYS[1], left(tonumber(ARGV[5]), tonumber(ARGV[6])))
return 1
