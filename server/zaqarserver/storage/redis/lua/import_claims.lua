-- Stores claims of an arriving queue. A claim waits for its first message.
-- script: repeatable
-- with: arriving, queue
-- ARGV: epoch of the placement, then for each: id, packed
for at = 2, #ARGV, 2 do call('HSETNX', ARRIVED, 'c' .. ARGV[at], ARGV[at + 1]) end
return 1
