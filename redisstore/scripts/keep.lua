-- Shared by the scripts that follow it. Nothing here decides anything: a time
-- to live frees memory, some time after everything that it concerns is over.

-- keep makes a key live for at least so many milliseconds.
local function keep(key, ms)
	if redis.call('PTTL', key) < ms then
		redis.call('PEXPIRE', key, ms)
	end
end

-- server_ms is the time of this server.
local function server_ms()
	local t = redis.call('TIME')
	return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- left is how long a key is needed that ends at a time: until then and for the
-- margin, in milliseconds. What has ended by the clock of this server stays for
-- the margin all the same, since the clock may be wrong.
local function left(ends, margin)
	return math.max(ends - server_ms(), 0) + margin
end
