-- Takes a use back. KEYS: the counter. ARGV: time (stamp). A count that comes
-- back to zero is forgotten.
local old = redis.call('GET', KEYS[1])
if not old or string.sub(old, 1, 21) <= ARGV[1] then
	return 0
end
local n = tonumber(string.sub(old, 22)) - 1
if n <= 0 then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], string.sub(old, 1, 21) .. n, 'KEEPTTL')
end
return 1
