-- Removes the sessions of a user. KEYS: the rows and the ends of the user. ARGV:
-- the id to spare ('' for none). Returns the ids that were removed.
local rows, ends, spared = KEYS[1], KEYS[2], ARGV[1]
local row, score = redis.call('HGET', rows, spared), redis.call('ZSCORE', ends, spared)
local left = redis.call('PTTL', rows)
local ended = {}
for _, id in ipairs(redis.call('HKEYS', rows)) do
	if id ~= spared then
		ended[#ended + 1] = id
	end
end
redis.call('DEL', rows, ends)
if row then
	redis.call('HSET', rows, spared, row)
	redis.call('ZADD', ends, score or 0, spared)
	if left > 0 then
		redis.call('PEXPIRE', rows, left)
		redis.call('PEXPIRE', ends, left)
	end
end
return ended
