-- Revokes a token. KEYS: its entry. ARGV: end (Unix ms), margin (ms), channel,
-- message.
redis.call('SET', KEYS[1], '1', 'NX')
keep(KEYS[1], left(tonumber(ARGV[1]), tonumber(ARGV[2])))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
