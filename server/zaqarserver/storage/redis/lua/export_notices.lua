-- Reads notices of a leaving queue, with their pending deliveries.
-- script: repeatable, unconfirmed
-- with: leaving, listeners
-- ARGV: number to begin with, (none), about how many bytes, about how many deliveries
-- Returns the next number or an empty text; numbers, notices, and packed deliveries of each.
local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
local number, last = math.max(tonumber(ARGV[1]), tonumber(first or 1)), tonumber(newest or 0)
local numbers, frames, packed, size, total, looked = {}, {}, {}, 0, 0, 0
while number <= last and looked < ROOM and size < tonumber(ARGV[3]) and total < tonumber(ARGV[4]) do
  local frame, deliveries = call('HGET', NOTICES, number), {}
  if frame then
    for _, id in ipairs(call('ZRANGEBYSCORE', BUSY, '-inf', number - 1)) do
      local state = unpacked(call('HGET', STATE, id))
      local begun = state[D_NUMBER] == number
      deliveries[#deliveries + 1] = { id, begun and state[D_POSITION] or 0, begun and state[D_ATTEMPT] or 0 }
    end
    for _, id in ipairs(call('ZRANGEBYSCORE', IDLE, '-inf', number - 1)) do
      deliveries[#deliveries + 1] = { id, 0, 0 }
    end
  end
  if #deliveries > 0 then
    numbers[#numbers + 1] = number
    frames[#numbers], packed[#numbers] = frame, pack(deliveries)
    size, total = size + #frame, total + #deliveries
  end
  number, looked = number + 1, looked + 1
end
return { number <= last and number or '', numbers, frames, packed }
