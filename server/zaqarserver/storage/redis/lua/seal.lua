-- Freezes a queue that is to leave.
-- script: repeatable
-- with: queue, promise
-- ARGV: (none), epoch, prepared, epoch of the move
-- Returns when a message was last sent to a dead letter queue, or an empty text.
local kind, last, epoch = unpack(call('HMGET', HEAD, 'seal', 'sealed', 'epoch'))
local move = tonumber(ARGV[4])
last = tonumber(last or 0)
if last > move or kind == 'arriving' or (kind == 'gone' and last == move) then return 'refused' end
local wait = unprepared(epoch or '', kind == 'leaving' and '' or 's', 0)
if wait then return wait end
call('HDEL', HEAD, 'until')
call('HSET', HEAD, 'seal', 'leaving', 'sealed', ARGV[4])
call('PERSIST', HEAD)
return call('HGET', HEAD, 'sent') or ''
