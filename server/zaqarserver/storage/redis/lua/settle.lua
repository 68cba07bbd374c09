-- Records how far a delivery got.
-- script: once
-- with: promise, endings, deliveries
-- ARGV: subscription id, number of the notice, (none), position in it, attempt, when to go on
-- Returns nothing if the delivery has ended, or a later position is recorded already; else when the
-- next one is due, or an empty text.
local id, number, position = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local state = call('HGET', STATE, id)
state = state and unpacked(state)
if not state or state[D_NUMBER] > number then return false end
if state[D_NUMBER] < number then
  state = { number, 0, 0 }
  call('ZADD', BUSY, number - 1, id)
end
if position < state[D_POSITION] then return false end
state[D_COUNT] = state[D_COUNT] or count_of(number)
if position < state[D_COUNT] then
  state[D_POSITION], state[D_ATTEMPT] = position, tonumber(ARGV[5])
  call('ZREM', DUE, id)
  call('HSET', STATE, id, pack(state))
  call('ZADD', DUE, ARGV[6], id)
else
  call('HDEL', STATE, id)
  call('ZREM', BUSY, id)
  call('ZREM', DUE, id)
  call('ZADD', IDLE, number, id)
end
dispose()
-- Deliveries of a sealed queue cannot be taken.
local due = call('HEXISTS', KEYS[1], 'seal') == 0 and next_delivery() or nil
raise_promise(SUB, 'due', due)
return remember(due and string.format('%.17g', due) or '')
