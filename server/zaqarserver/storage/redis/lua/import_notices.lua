-- Stores notices of an arriving queue under their numbers.
-- script: repeatable
-- with: arriving, listeners
-- ARGV: epoch of the placement, then for each: number, notice
for at = 2, #ARGV, 2 do
  local number = tonumber(ARGV[at])
  call('HSET', NOTICES, number, ARGV[at + 1])
  local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
  if not newest or tonumber(newest) < number then call('HSET', SUB, 'newest', number) end
  if not first or tonumber(first) > number then call('HSET', SUB, 'first', number) end
end
return 1
