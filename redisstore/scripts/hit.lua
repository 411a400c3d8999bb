-- Counts a use, if it is within the limit. KEYS: the counter. ARGV: time (stamp),
-- end of a window that begins now (stamp), limit, how long to keep such a window
-- (ms). Returns the count, 1 or 0, and the end of the window.
--
-- The entry is the end of the window, 21 digits, and the count.
local old = redis.call('GET', KEYS[1])
local n, ends, fresh = 0, ARGV[2], true
if old and string.sub(old, 1, 21) > ARGV[1] then
	n, ends, fresh = tonumber(string.sub(old, 22)), string.sub(old, 1, 21), false
end
if n >= tonumber(ARGV[3]) then
	return {n, 0, ends}
end
n = n + 1
if fresh then
	redis.call('SET', KEYS[1], ends .. n, 'PX', ARGV[4])
else
	redis.call('SET', KEYS[1], ends .. n, 'KEEPTTL')
end
return {n, 1, ends}
