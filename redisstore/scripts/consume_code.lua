-- Counts an attempt, then compares. KEYS: the entry of the code. ARGV: hash,
-- time (stamp). Returns nothing where there is no code, 0 for a wrong hash, else
-- version, attempts left and end.
local v = redis.call('HMGET', KEYS[1], 'hash', 'version', 'attempts', 'expires')
local hash, given = v[1], ARGV[1]
if not hash or tonumber(v[3]) < 1 or v[4] <= ARGV[2] then
	return false
end
local attempts = redis.call('HINCRBY', KEYS[1], 'attempts', -1)

-- Every byte is looked at, whatever the ones before it were.
local differ = #given == 0 and 1 or bit.bxor(#hash, #given)
for i = 1, math.min(#hash, #given) do
	differ = bit.bor(differ, bit.bxor(string.byte(hash, i), string.byte(given, i)))
end

if differ == 0 or attempts == 0 then
	redis.call('DEL', KEYS[1])
end
if differ ~= 0 then
	return 0
end
return {v[2], tostring(attempts), v[4]}
