-- Dropping the data of a queue that is sealed, or is to arrive.
-- with: volume, endings, keys, freed
local ARRIVED = KEYS[#KEYS]

-- Drops all but grants, last numbers, and the messages that go to and came from other queues. The
-- promises stay: a visit because of them finds nothing to do.
local function clear()
  call('UNLINK', META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS, POSTPONED, ARRIVED)
  call('UNLINK', POSTS, POSTS_EXPIRY)
  call('UNLINK', SUB_EXPIRY, SUB_VOLATILE, NOTICES, RECORDS, ORDER, URIS, IDLE, BUSY, DUE, STATE)
  call('HDEL', HEAD, 'rev', 'metadata', 'bytes', 'count', 'arrived', 'until')
  call('HDEL', SUB, 'newest', 'first')
  count(0, 0)
  freed(0) -- those who wait for a queue that has left continue at its new place
end
