-- Reads a subscription.
-- with: served, listeners
-- ARGV: id
return call('HGET', RECORDS, ARGV[1])
