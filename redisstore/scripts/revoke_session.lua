-- Adds a watermark to a session. KEYS: its entry. ARGV: end (Unix ms), margin
-- (ms), channel, message, smallest live generation, time from which it counts
-- (stamp), most marks to keep.
--
-- The entry is a row of marks, 41 digits each: generation and time. They are
-- sorted by both: a higher one that did not begin later covers a lower one.
-- Both are compared as text, see revoke_user.lua.
local below, from, most = ARGV[5], ARGV[6], tonumber(ARGV[7])

-- begun is the time (stamp) before which a mark has counted for the margin. It
-- is the earlier one of two clocks: a mark that is joined too early refuses
-- what it should not yet.
local function begun()
	local s = math.floor((server_ms() - tonumber(ARGV[2])) / 1000) + 100000000000
	local server = string.format('%012.0f', s) .. '000000000'
	if from < server then
		return from
	end
	return server
end

local marks, covered = {}, false
local old = redis.call('GET', KEYS[1]) or ''
for at = 1, #old, 41 do
	local m = {below = string.sub(old, at, at + 19), from = string.sub(old, at + 20, at + 40)}
	if m.below >= below and m.from <= from then
		covered = true
	end
	if covered or not (below >= m.below and from <= m.from) then
		marks[#marks + 1] = m
	end
end

if not covered then
	local at = 1
	while at <= #marks and marks[at].below < below do
		at = at + 1
	end
	table.insert(marks, at, {below = below, from = from})
	-- The two lowest become one that refuses what either does. Once both have
	-- begun that changes nothing; beyond the most it refuses generations that
	-- are dozens of refreshes old a little early.
	local past = begun()
	while #marks > most or (#marks > 1 and marks[2].from < past) do
		marks[2].from = marks[1].from
		table.remove(marks, 1)
	end
	local text = {}
	for i, m in ipairs(marks) do
		text[i] = m.below .. m.from
	end
	redis.call('SET', KEYS[1], table.concat(text), 'KEEPTTL')
end
keep(KEYS[1], left(tonumber(ARGV[1]), tonumber(ARGV[2])))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
