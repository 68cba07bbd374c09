-- Makes a subscription, and its queue, unless they exist.
-- script: once
-- with: served, promise, endings
-- ARGV: now, epoch, prepared, revision, number, random half of the id, subscriber, expires,
--   server that has the connection or an empty text, packed
-- Returns id, packed, 1 if it was made, and the volume of subscriptions.
local HEAD, now, uri, expires = KEYS[1], tonumber(ARGV[1]), ARGV[7], tonumber(ARGV[8])
local id = call('HGET', URIS, uri)
if id then
  local raw = call('HGET', RECORDS, id)
  if unpacked(raw)[S_EXPIRES] > now then return { id, raw, 0, {} } end
end
local revision, due, epoch = unpack(call('HMGET', HEAD, 'rev', 'due', 'epoch'))
local needs = (revision and '' or 'q') .. (promised(due, expires) and '' or 'd')
local wait = unprepared(epoch or '', needs, expires)
if wait then return wait end
if not revision then
  call('HSET', HEAD, 'rev', ARGV[4], 'metadata', '{}')
  call('PERSIST', HEAD)
end
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', ARGV[8]) end
if id then forget(id) end

local number, last, newest = tonumber(ARGV[5]), unpack(call('HMGET', SUB, 'last', 'newest'))
if last and tonumber(last) >= number then number = tonumber(last) + 1 end
call('HSET', SUB, 'last', number)
call('PERSIST', SUB)
id = string.format('%014x', number) .. ARGV[6]
call('HSET', RECORDS, id, ARGV[10])
call('HSET', URIS, uri, id)
call('ZADD', ORDER, 0, id)
if ARGV[9] == '' then
  call('ZADD', SUB_EXPIRY, expires, id)
  call('ZADD', IDLE, newest or 0, id)
else
  call('ZADD', SUB_VOLATILE, expires, id)
end
return remember({ id, ARGV[10], 1, subscribed() })
