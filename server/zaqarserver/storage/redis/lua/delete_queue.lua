-- Removes a queue with its messages and claims; returns the volume.
-- script: once
-- with: served, volume, promise, keys
-- ARGV: (none), epoch, prepared
local revision, epoch = unpack(call('HMGET', HEAD, 'rev', 'epoch'))
if not revision then return remember_nothing(volume) end
local wait = unprepared(epoch or '', 'q', 0)
if wait then return wait end
-- Freed in the background, whatever the size. Messages on their way to a dead letter queue have
-- left this one already; OUT and IN stay.
call('UNLINK', META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS, POSTS, POSTS_EXPIRY)
-- The last number stays for a day after the next sweep: if the queue is made again, its ids
-- continue after it.
call('HDEL', HEAD, 'rev', 'metadata', 'bytes', 'count')
count(0, 0)
raise_promise(HEAD, 'due')
return remember(volume)
