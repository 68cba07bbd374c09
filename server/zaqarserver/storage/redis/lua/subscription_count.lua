-- Counts the live subscriptions.
-- script: repeatable, unconfirmed
-- with: served, listeners
-- ARGV: now
return call('ZCOUNT', SUB_EXPIRY, '(' .. ARGV[1], '+inf') + call('ZCOUNT', SUB_VOLATILE, '(' .. ARGV[1], '+inf')
