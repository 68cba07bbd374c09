-- Stores the metadata of an arriving queue.
-- script: repeatable
-- with: arriving, queue
-- ARGV: epoch of the placement, metadata or nothing
if ARGV[2] then call('HSET', HEAD, 'arrived', ARGV[2]) end
return 1
