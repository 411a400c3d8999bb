-- Moves a session on. KEYS: the rows of the user. ARGV: id, the generation it
-- must be at, the next one, time (stamp), time after which it must have moved
-- last ('' for any), secret id with its length. Returns 1 or 0 and the row, or
-- nothing where there is no such session.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then
	return false
end
local generation, moved, expires = string.sub(row, 1, 20), string.sub(row, 21, 41), string.sub(row, 42, 62)
if generation ~= ARGV[2] or expires <= ARGV[4] or (ARGV[5] ~= '' and moved <= ARGV[5]) then
	return {0, row}
end
local secret = tonumber(string.sub(row, 84, 87))
row = ARGV[3] .. ARGV[4] .. string.sub(row, 42, 83) .. ARGV[6] .. string.sub(row, 88 + secret)
redis.call('HSET', KEYS[1], ARGV[1], row)
return {1, row}
