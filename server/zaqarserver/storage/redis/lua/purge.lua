-- Removes all messages and claims of a queue.
-- with: queue
call('UNLINK', META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS)
if call('HEXISTS', HEAD, 'rev') == 1 then call('HSET', HEAD, 'bytes', 0, 'count', 0) end
return 1
