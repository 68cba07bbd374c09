-- Reads notices of a leaving queue.
-- script: repeatable, unconfirmed
-- with: leaving, listeners
-- ARGV: number to begin with, (none), about how many bytes
-- Returns the next number or an empty text; numbers, and notices.
local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
local number, last = math.max(tonumber(ARGV[1]), tonumber(first or 1)), tonumber(newest or 0)
local numbers, frames, size, looked = {}, {}, 0, 0
while number <= last and looked < ROOM and size < tonumber(ARGV[3]) do
  local frame = call('HGET', NOTICES, number)
  if frame then
    numbers[#numbers + 1], frames[#frames + 1] = number, frame
    size = size + #frame
  end
  number, looked = number + 1, looked + 1
end
return { number <= last and number or '', numbers, frames }
