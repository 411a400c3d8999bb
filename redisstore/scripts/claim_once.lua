-- Claims a key for the first caller. KEYS: the claim. ARGV: time (stamp), end
-- (stamp), how long to keep (ms). Returns 1 for the first one.
local ends = redis.call('GET', KEYS[1])
if ends and ends > ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
