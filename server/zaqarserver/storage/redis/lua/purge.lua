-- Removes all messages and claims of a queue; returns the volume.
-- script: once
-- with: served, volume
call('UNLINK', META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS, POSTPONED)
if call('HEXISTS', HEAD, 'rev') == 0 then return remember_nothing(volume) end
call('HDEL', HEAD, 'bytes', 'count')
count(0, 0)
return remember(volume)
