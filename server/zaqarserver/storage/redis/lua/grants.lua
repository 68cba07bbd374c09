-- Shared by the scripts of grants.
local GRANTS, GRANT_ORDER, GRANT_EXPIRY = unpack(KEYS, #KEYS - 2, #KEYS)

-- Removes expired grants; returns how many.
local function sweep_grants(now, room)
  local ended = redis.call('ZRANGEBYSCORE', GRANT_EXPIRY, '-inf', now, 'LIMIT', 0, math.max(room, 0))
  for _, id in ipairs(ended) do
    redis.call('HDEL', GRANTS, id)
    redis.call('ZREM', GRANT_ORDER, id)
    redis.call('ZREM', GRANT_EXPIRY, id)
  end
  return #ended
end
