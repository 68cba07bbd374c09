-- Makes a queue; 0 if it exists.
-- script: once
-- with: promise
-- ARGV: (none), epoch, prepared, revision, metadata
local HEAD = KEYS[1]
local revision, epoch, seal = unpack(redis.call('HMGET', HEAD, 'rev', 'epoch', 'seal'))
if seal then return 'sealed' end
if revision then return 0 end
local wait = unprepared(epoch or '', 'q', 0)
if wait then return wait end
redis.call('HSET', HEAD, 'rev', ARGV[4], 'metadata', ARGV[5]) -- first: see queue.lua
redis.call('PERSIST', HEAD)
return remember(1)
