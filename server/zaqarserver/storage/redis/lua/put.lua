-- Stores messages that come from another queue; one that came before is not stored again.
-- script: repeatable
-- with: volume, promise, freed
-- ARGV: now, epoch, prepared, revision, then for each message: id, token, packed, body
-- Returns the ids that it refuses: if the queue is sealed, those that have not come before; and the volume.
local now, FIRST, WIDTH, REMEMBERED = tonumber(ARGV[1]), 5, 4, 3600
local revision, last, due, epoch, seal = unpack(call('HMGET', HEAD, 'rev', 'last', 'due', 'epoch', 'seal'))
if seal then
  local refused = {}
  for at = FIRST, #ARGV, WIDTH do
    if not call('ZSCORE', IN, ARGV[at] .. ARGV[at + 1]) then refused[#refused + 1] = ARGV[at] end
  end
  return { refused, {} }
end
-- The record of arrivals is swept, too: it makes the queue due.
local first_due = now + REMEMBERED
for at = FIRST, #ARGV, WIDTH do first_due = math.min(first_due, unpacked(ARGV[at + 2])[EXPIRES]) end
local needs = (revision and '' or 'q') .. (promised(due, first_due) and '' or 'd')
local wait = unprepared(epoch or '', needs, first_due)
if wait then return wait end

if not revision then
  call('PERSIST', HEAD)
  call('HSET', HEAD, 'rev', ARGV[4], 'metadata', '{}')
end
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', string.format('%.17g', first_due)) end
last = tonumber(last or '0')
for at = FIRST, #ARGV, WIDTH do
  local id, message, came = ARGV[at], unpacked(ARGV[at + 2]), ARGV[at] .. ARGV[at + 1]
  if not call('ZSCORE', IN, came) and message[EXPIRES] > now then
    call('HSET', META, id, ARGV[at + 2])
    call('HSET', BODY, id, ARGV[at + 3])
    if message[VISIBLE] > now then
      call('ZADD', POSTPONED, 0, id)
      call('ZADD', LATE, message[VISIBLE], id)
    else
      call('ZADD', FREE, 0, id)
    end
    call('ZADD', EXPIRY, message[EXPIRES], id)
    count(1, #ARGV[at + 3])
    -- Later posts sort after the messages that arrived.
    last = math.max(last, tonumber(id:sub(1, 14), 16))
  end
  call('ZADD', IN, 'NX', now, came)
end
call('HSET', HEAD, 'last', last)
freed(now)
call('ZREMRANGEBYSCORE', IN, '-inf', now - REMEMBERED)
return { {}, #volume > 0 and volume or known_volume() }
