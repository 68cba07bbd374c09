-- Returns the kind and epoch of the seal if a queue leaves or arrives. If not, it raises the epoch,
-- so that the queue may be removed from the list of seals.
-- script: repeatable
local kind, last = unpack(redis.call('HMGET', KEYS[1], 'seal', 'sealed'))
if kind == 'leaving' or kind == 'arriving' then return { kind, tonumber(last) } end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'epoch', 1) end
return false
