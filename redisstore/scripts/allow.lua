-- Takes a use from a bucket. KEYS: the bucket. ARGV: time in Unix seconds and
-- its nanoseconds, limit and per (ns) of the rule, margin (ms). Returns 1 or 0,
-- the time of the bucket in seconds and nanoseconds, and its debt.
--
-- The debt is how long it takes, from the time of the bucket on, until it is
-- full again, in nanoseconds. It is a number below 2^53 and keeps its fraction.
-- The entry is: seconds, nanoseconds, debt, limit, per.
local now_s, now_ns = tonumber(ARGV[1]), tonumber(ARGV[2])
local limit, per = tonumber(ARGV[3]), tonumber(ARGV[4])
local at_s, at_ns, debt = now_s, now_ns, 0

local old = redis.call('GET', KEYS[1])
if old then
	local s, ns, owed, old_limit, old_per = string.match(old, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
	at_s, at_ns, debt = tonumber(s), tonumber(ns), tonumber(owed)
	-- The time never goes back: the same span would refill the bucket twice.
	local since = (now_s - at_s) * 1e9 + (now_ns - at_ns)
	if since > 0 then
		at_s, at_ns = now_s, now_ns
		debt = math.max(debt - since, 0)
	end
	-- Another rule keeps the part that is spent.
	if tonumber(old_limit) ~= limit or tonumber(old_per) ~= per then
		debt = math.min(debt / tonumber(old_per), 1) * per
	end
end

-- Less than a nanosecond is forgiven, so that rounding does not refuse a use at
-- the very moment that was announced.
local allowed = 0
if debt + per / limit <= per + 0.75 then
	allowed = 1
	debt = math.min(debt + per / limit, per)
end
local text = string.format('%.17g', debt)
redis.call('SET', KEYS[1], string.format('%.0f %.0f %s %.0f %.0f', at_s, at_ns, text, limit, per),
	'PX', string.format('%.0f', math.ceil(debt / 1e6) + tonumber(ARGV[5])))
return {allowed, string.format('%.0f', at_s), string.format('%.0f', at_ns), text}
