-- Puts a queue into a schedule, at a time or earlier. The score always changes, so that a process
-- that has read it before sees that the entry is needed. Begins with a removal, so that a queue can
-- leave a store that is out of memory.
-- script: repeatable
-- ARGV: entry, time
local old, score = redis.call('ZSCORE', KEYS[1], ARGV[1]), tonumber(ARGV[2])
if old and tonumber(old) <= score then score = tonumber(old) - 0.001 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.17g', score), ARGV[1])
return 1
