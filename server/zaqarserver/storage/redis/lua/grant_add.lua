-- Records a grant unless it is recorded already, or there are too many.
-- script: repeatable
-- with: promise, grants
-- ARGV: now, epoch, prepared, id, expires, most, packed
-- Returns the recorded grant; nothing if there are too many.
local call, now, id, expires = redis.call, tonumber(ARGV[1]), ARGV[4], tonumber(ARGV[5])
local ends = call('ZSCORE', GRANT_EXPIRY, id)
if ends and tonumber(ends) > now then return call('HGET', GRANTS, id) end
if call('ZCOUNT', GRANT_EXPIRY, '(' .. ARGV[1], '+inf') >= tonumber(ARGV[6]) then return false end
local due, epoch = unpack(call('HMGET', KEYS[1], 'due', 'epoch'))
if not promised(due, expires) then
  local wait = unprepared(epoch or '', 'd', expires)
  if wait then return wait end
  call('HSET', KEYS[1], 'due', ARGV[5])
end
call('HSET', GRANTS, id, ARGV[7])
call('ZADD', GRANT_ORDER, 0, id)
call('ZADD', GRANT_EXPIRY, ARGV[5], id)
return ARGV[7]
