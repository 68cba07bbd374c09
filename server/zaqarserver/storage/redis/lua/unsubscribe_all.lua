-- Removes all subscriptions with their deliveries, however many there are; returns their
-- volume.
-- script: once
-- with: served, endings
call('UNLINK', SUB_EXPIRY, SUB_VOLATILE, NOTICES, RECORDS, ORDER, URIS, IDLE, BUSY, DUE, STATE)
call('HSET', SUB, 'first', (call('HGET', SUB, 'newest') or 0) + 1)
return remember(subscribed())
