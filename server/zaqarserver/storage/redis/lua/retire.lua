-- Records as gone a queue that neither exists nor has live subscriptions.
-- script: repeatable
-- with: queue, listeners, promise
-- ARGV: now, epoch, prepared, epoch of the placement, until when to remember it
local kind, last, revision, due, epoch = unpack(call('HMGET', HEAD, 'seal', 'sealed', 'rev', 'due', 'epoch'))
local ends = tonumber(ARGV[5])
if tonumber(last or 0) > tonumber(ARGV[4]) or (kind and kind ~= 'gone') or revision then return 'refused' end
if call('EXISTS', OUT) == 1 then return 'refused' end
for _, key in ipairs({ SUB_EXPIRY, SUB_VOLATILE }) do
  if call('ZCOUNT', key, '(' .. ARGV[1], '+inf') > 0 then return 'refused' end
end
local needs = promised(due, ends) and '' or 'd'
local wait = unprepared(epoch or '', needs, ends)
if wait then return wait end
call('HSET', HEAD, 'seal', 'gone', 'sealed', ARGV[4], 'until', ARGV[5])
if needs == 'd' then call('HSET', HEAD, 'due', ARGV[5]) end
call('PERSIST', HEAD)
return 1
