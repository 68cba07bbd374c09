-- Stores notices of an arriving queue, in their order. A subscription that gets one notice also
-- gets all later ones, so only its first notice counts.
-- script: repeatable
-- with: arriving, listeners
-- ARGV: epoch of the placement, then for each: id, notice, packed deliveries, and if not all deliveries
--   were made: after which subscription, or a minus sign if all were; and up to which subscription
local function wait_for(id, number, position, attempt, count)
  if call('ZSCORE', IDLE, id) ~= 'inf' then return end
  call('ZREM', IDLE, id)
  call('ZADD', BUSY, number - 1, id)
  call('HSET', STATE, id, pack({ number, position, attempt, count }))
  call('ZADD', DUE, 'NX', 0, id)
end

for at = 2, #ARGV, 5 do
  local id, frame, deliveries, after, stop = unpack(ARGV, at, at + 4)
  if call('HSETNX', ARRIVED, 'n' .. id, 1) == 1 then
    local number, count = call('HINCRBY', SUB, 'newest', 1), struct.unpack('>I4', frame)
    call('HSET', NOTICES, number, frame)
    for _, delivery in ipairs(unpacked(deliveries)) do
      wait_for(delivery[1], number, delivery[2], delivery[3], count)
    end
    if after ~= '-' and stop ~= '' then
      local start = after == '' and '-' or '(' .. after
      for _, one in ipairs(call('ZRANGEBYLEX', ORDER, start, '[' .. stop)) do
        wait_for(one, number, 0, 0, count)
      end
    end
  end
end
return 1
