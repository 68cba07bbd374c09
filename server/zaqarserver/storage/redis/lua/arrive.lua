-- Stores the metadata and claims of an arriving queue. A claim waits for its first message.
-- script: repeatable
-- with: arriving, queue
-- ARGV: epoch of the move, metadata or an empty text, then for each claim: id, packed
if ARGV[2] ~= '' then call('HSET', HEAD, 'arrived', ARGV[2]) end
for at = 3, #ARGV, 2 do call('HSETNX', ARRIVED, 'c' .. ARGV[at], ARGV[at + 1]) end
return 1
