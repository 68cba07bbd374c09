-- Puts a queue into service.
-- script: repeatable
-- with: clear, promise, deliveries, freed
-- ARGV: (none), epoch, prepared, epoch of the placement, epoch with which it came, revision
-- Returns the volume, and that of subscriptions; or 'drop' and the epoch of its seal, if the data
-- here has to be dropped first.
local kind, last, metadata, due, epoch =
  unpack(call('HMGET', HEAD, 'seal', 'sealed', 'arrived', 'due', 'epoch'))
if not kind then return { {}, {} } end
local since = tonumber(ARGV[5])
last = tonumber(last)
if last > tonumber(ARGV[4]) then return 'refused' end
local arrived = kind == 'arriving' and last == since
if not arrived and not (kind == 'leaving' and last > since) then
  if last >= since then return 'refused' end
  if kind ~= 'gone' then return { 'drop', last } end
end

local needs, first_due = '', math.huge
if arrived and metadata then needs = 'q' end
for _, key in ipairs({ EXPIRY, SUB_EXPIRY, SUB_VOLATILE }) do
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] then first_due = math.min(first_due, tonumber(first[2])) end
end
if first_due < math.huge and not promised(due, first_due) then needs = needs .. 'd' end
local delivery = next_delivery()
if delivery and not promised(call('HGET', SUB, 'due'), delivery) then needs = needs .. 'n' end
local wait = unprepared(epoch or '', needs, first_due < math.huge and first_due or 0)
if wait then return wait end

call('HDEL', HEAD, 'seal', 'until', 'arrived')
call('UNLINK', ARRIVED)
call('HSET', HEAD, 'sealed', ARGV[4])
if arrived and metadata then call('HSET', HEAD, 'rev', ARGV[6], 'metadata', metadata) end
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', string.format('%.17g', first_due)) end
if needs:find('n', 1, true) then call('HSET', SUB, 'due', string.format('%.17g', delivery)) end
count(0, 0)
freed(0)
return { volume, subscribed() }
