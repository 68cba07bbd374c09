-- Counts the queues that are in a pool, or are moved to it.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: pool
return count_in(AT, ARGV[1]) + count_in(TOWARDS, ARGV[1])
