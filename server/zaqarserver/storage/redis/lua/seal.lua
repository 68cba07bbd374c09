-- Seals a queue that leaves, arrives or is gone. What is there is dropped, unless the queue leaves.
-- A queue that leaves or arrives is gone only after 'drop', by the epoch of its seal.
-- script: repeatable
-- with: clear, promise
-- ARGV: now, epoch, prepared, kind of the seal, epoch of the placement, when a queue that is gone can be forgotten,
--   drop or seal
-- Returns the volume, that of subscriptions, and when a message was last sent to a dead letter queue.
local kind, last, revision, due, epoch = unpack(call('HMGET', HEAD, 'seal', 'sealed', 'rev', 'due', 'epoch'))
local wanted, placed, ends = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local in_service = not kind or kind == 'gone'
last = tonumber(last or 0)
if last > placed then return 'refused' end
if ARGV[7] == 'drop' then
  if in_service or last < placed then return 'refused' end
elseif kind and wanted ~= kind then
  -- The same as Seal.allows() in storage/moving.py.
  if last == placed or (kind ~= 'gone' and wanted ~= 'arriving') then return 'refused' end
end
if in_service and wanted ~= 'leaving' and revision then return 'refused' end
if not kind and wanted == 'arriving' and last == placed then return 'refused' end -- it has arrived already
if in_service and wanted == 'gone' then
  if call('EXISTS', OUT) == 1 then return 'refused' end
  for _, key in ipairs({ SUB_EXPIRY, SUB_VOLATILE }) do
    if call('ZCOUNT', key, '(' .. ARGV[1], '+inf') > 0 then return 'refused' end
  end
end

local repeats = kind == wanted and last == placed
local needs = in_service and wanted ~= 'gone' and 's' or ''
if wanted ~= 'leaving' and revision then needs = needs .. 'q' end
if wanted == 'gone' and not promised(due, ends) then needs = needs .. 'd' end
local wait = unprepared(epoch or '', needs, ends)
if wait then return wait end
local subscriptions = {}
if wanted ~= 'leaving' and not repeats then
  clear()
  subscriptions = subscribed()
end
call('HDEL', HEAD, 'until')
call('HSET', HEAD, 'seal', wanted, 'sealed', placed)
if wanted == 'gone' then call('HSET', HEAD, 'until', ARGV[6]) end
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', ARGV[6]) end
call('PERSIST', HEAD)
if wanted == 'arriving' then call('PERSIST', SUB) end
return { volume, subscriptions, wanted == 'leaving' and call('HGET', HEAD, 'sent') or '' }
