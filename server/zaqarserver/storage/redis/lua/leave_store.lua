-- Drops a queue that is sealed, or has not arrived yet, and remembers that it is gone.
-- script: repeatable
-- with: clear, promise
-- ARGV: (none), epoch, prepared, epoch of the seal, until when to remember it
-- Returns the volume, and that of subscriptions.
local kind, last, revision, due, epoch = unpack(call('HMGET', HEAD, 'seal', 'sealed', 'rev', 'due', 'epoch'))
local ends = tonumber(ARGV[5])
if not kind or kind == 'gone' or tonumber(last) ~= tonumber(ARGV[4]) then return 'refused' end
local needs = (revision and 'q' or '') .. (promised(due, ends) and '' or 'd')
local wait = unprepared(epoch or '', needs, ends)
if wait then return wait end
clear()
call('HSET', HEAD, 'seal', 'gone', 'until', ARGV[5])
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', ARGV[5]) end
return { volume, subscribed() }
