-- Puts messages back that cannot go to another queue; they are lost if their own queue
-- was deleted. Returns the volume.
-- script: repeatable
-- with: volume
-- ARGV: now, ids
local now, exists = tonumber(ARGV[1]), call('HEXISTS', HEAD, 'rev') == 1
for at = 2, #ARGV do
  local id = ARGV[at]
  local raw, body = unpack(call('HMGET', OUT, 'o' .. id, 'b' .. id))
  call('HDEL', OUT, id, 'b' .. id, 't' .. id, 'k' .. id, 'o' .. id)
  if raw and exists then
    local message = unpacked(raw)
    call('HSET', META, id, raw)
    call('HSET', BODY, id, body)
    call('ZADD', EXPIRY, message[EXPIRES], id)
    if message[VISIBLE] > now then
      call('ZADD', message[LATER] and POSTPONED or HIDDEN, 0, id)
      call('ZADD', LATE, message[VISIBLE], id)
    else
      call('ZADD', FREE, 0, id)
    end
    count(1, #body)
  end
end
return #volume > 0 and volume or known_volume()
