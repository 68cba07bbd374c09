-- Reads a subscription.
-- script: repeatable, unconfirmed
-- with: served, listeners
-- ARGV: id
return call('HGET', RECORDS, ARGV[1])
