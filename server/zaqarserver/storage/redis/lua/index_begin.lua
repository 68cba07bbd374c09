-- Records that a queue is being made or removed; it is listed, and has to be verified.
-- Begins with a removal: a queue can be removed when memory is short.
-- script: repeatable
-- ARGV: name, token, 1 if it is being made
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if ARGV[3] == '1' then redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
return 1
