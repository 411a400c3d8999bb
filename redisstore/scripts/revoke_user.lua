-- Raises the watermark of a user. KEYS: its entry. ARGV: end (Unix ms), margin
-- (ms), channel, message, smallest live version. Versions are compared as text
-- of one length, since numbers of Lua are exact up to 2^53 only.
local old = redis.call('GET', KEYS[1])
if not old or old < ARGV[5] then
	redis.call('SET', KEYS[1], ARGV[5], 'KEEPTTL')
end
keep(KEYS[1], left(tonumber(ARGV[1]), tonumber(ARGV[2])))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
