-- Stores a session of a user, if it may. KEYS: the rows and the ends of the
-- user. ARGV: id, row, end in Unix seconds, time (stamp), time before which
-- nothing is needed any more (Unix seconds), limit (0: none), '1' to evict, how
-- long to keep (ms). Returns a word, then the ids and rows that were evicted.
local rows, ends = KEYS[1], KEYS[2]
local id, row, now, most = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[6])

if redis.call('HEXISTS', rows, id) == 1 then
	return {'taken'}
end

for _, old in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', ARGV[5], 'LIMIT', 0, 16)) do
	redis.call('HDEL', rows, old)
	redis.call('ZREM', ends, old)
end

local result = {'stored'}
if most > 0 then
	local live = {}
	local all = redis.call('HGETALL', rows)
	for i = 1, #all, 2 do
		if string.sub(all[i + 1], 42, 62) > now then
			live[#live + 1] = {id = all[i], row = all[i + 1], created = string.sub(all[i + 1], 63, 83)}
		end
	end
	local over = #live + 1 - most
	if over > 0 and ARGV[7] ~= '1' then
		return {'full'}
	end
	table.sort(live, function(a, b)
		if a.created ~= b.created then
			return a.created < b.created
		end
		return a.id > b.id
	end)
	for i = 1, over do
		redis.call('HDEL', rows, live[i].id)
		redis.call('ZREM', ends, live[i].id)
		result[#result + 1] = live[i].id
		result[#result + 1] = live[i].row
	end
end

redis.call('HSET', rows, id, row)
redis.call('ZADD', ends, ARGV[3], id)
keep(rows, tonumber(ARGV[8]))
keep(ends, tonumber(ARGV[8]))
return result
