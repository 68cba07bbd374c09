-- Replaces the metadata of a revision; 0 if the queue has another revision or does not exist.
-- script: once
-- with: served
-- ARGV: old revision, new revision, metadata
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'metadata', ARGV[3])
return remember(1)
