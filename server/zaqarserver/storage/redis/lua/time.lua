-- Stores a server's time, and returns the time of the store.
-- script: repeatable, unconfirmed
-- ARGV: the server's time, or an empty text to read only
-- Returns the latest stored time, Redis' time then, and Redis' time now; empty texts for missing
-- values. Begins with a removal, of nothing, so that it also works when memory is short.
local KEY, now = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local here = string.format('%d.%06d', time[1], time[2])
local latest, seen = unpack(redis.call('HMGET', KEY, 'latest', 'seen'))
if now then
  redis.call('HDEL', KEY, '')
  local kept = math.max(now, tonumber(latest or 0))
  redis.call('HSET', KEY, 'latest', string.format('%.17g', kept), 'seen', here)
end
return { latest or '', seen or '', here }
