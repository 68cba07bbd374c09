-- Prepares the store for a queue, and drops what it has of that queue.
-- script: repeatable
-- with: clear, promise
-- ARGV: (none), epoch, prepared, epoch of the move
-- Returns the volume, and that of subscriptions.
local kind, last, revision, epoch = unpack(call('HMGET', HEAD, 'seal', 'sealed', 'rev', 'epoch'))
local move = tonumber(ARGV[4])
last = tonumber(last or 0)
if kind == 'arriving' and last == move then return { {}, {} } end
if last >= move or (revision and not kind) then return 'refused' end
local wait = unprepared(epoch or '', (revision and 'q' or '') .. 's', 0)
if wait then return wait end
clear()
call('HSET', HEAD, 'seal', 'arriving', 'sealed', ARGV[4])
call('PERSIST', HEAD)
call('PERSIST', SUB)
return { volume, subscribed() }
