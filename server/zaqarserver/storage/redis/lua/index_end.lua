-- Records whether a queue exists, unless another request for it has begun meanwhile.
-- script: repeatable
-- ARGV: name, token, 1 if it exists
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
if ARGV[3] == '0' then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
