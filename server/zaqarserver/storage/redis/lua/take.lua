-- Takes deliveries that are due.
-- script: once, unconfirmed
-- with: promise, endings, deliveries
-- ARGV: now, (none), (none), at most how many, seconds of the lease, 1 for confirmed ones only,
--   messages and about how many bytes of a delivery
-- Returns the deliveries (subscription id, packed subscription, number, position, attempt, which
-- of the notices), the notices, and when the next one is due, or an empty text.
local now, room, lease, confirmed = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local most, most_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
call('HDEL', STATE, '') -- a removal, of nothing: deliveries can also end when memory is full
if call('HEXISTS', KEYS[1], 'seal') == 1 then
  raise_promise(SUB, 'due')
  return { {}, {}, '' }
end
local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
newest, first = tonumber(newest or 0), tonumber(first or 1)
local taken, looked = {}, 0
local frames, places, read = {}, {}, {}

local function frame_of(number)
  read[number] = read[number] or call('HGET', NOTICES, number)
  return read[number]
end

local function messages_of(number)
  return (struct.unpack('>I4', frame_of(number)))
end

-- Returns the position of a notice in the answer, where all its deliveries share it.
local function place(number)
  if not places[number] then
    frames[#frames + 1] = frame_of(number)
    places[number] = #frames
  end
  return places[number]
end

-- Returns the position of the notice with a number, and of those that follow in the same delivery.
local function batch(number)
  local found, messages, bytes = { place(number) }, messages_of(number), #frame_of(number)
  while number < newest do
    number = number + 1
    messages, bytes = messages + messages_of(number), bytes + #frame_of(number)
    if messages > most or bytes > most_bytes then break end
    found[#found + 1] = place(number)
  end
  return found
end

-- Returns the state of a subscription, from its beginning if what it was at has expired.
local function state_of(id)
  local cursor, state = call('ZSCORE', BUSY, id) or call('ZSCORE', IDLE, id), call('HGET', STATE, id)
  local number = math.max(cursor + 1, first)
  state = state and unpacked(state)
  if state and state[D_NUMBER] == number then return state end
  if number > newest then return nil end
  state = { number, 0, 0, messages_of(number) }
  call('ZREM', IDLE, id)
  call('ZADD', BUSY, number - 1, id)
  call('HSET', STATE, id, pack(state))
  return state
end

local function give(id)
  looked = looked + 1
  local raw = call('HGET', RECORDS, id)
  local record, state = unpacked(raw), nil
  if record[S_EXPIRES] > now and (record[S_CONFIRMED] or not confirmed) then state = state_of(id) end
  if not state then
    catch_up(id)
    return
  end
  call('ZADD', DUE, now + lease, id)
  taken[#taken + 1] = { id, raw, state[D_NUMBER], state[D_POSITION], state[D_ATTEMPT], batch(state[D_NUMBER]) }
end

-- First the deliveries that were tried before, then the subscriptions with the most unfinished
-- notices.
while #taken < room and looked < ROOM do
  local ids = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, room - #taken)
  if #ids == 0 then ids = call('ZRANGEBYSCORE', IDLE, '-inf', '(' .. newest, 'LIMIT', 0, room - #taken) end
  if #ids == 0 then break end
  for _, id in ipairs(ids) do give(id) end
end
dispose()
local due = next_delivery()
raise_promise(SUB, 'due', due)
local answer = { taken, frames, due and string.format('%.17g', due) or '' }
return #taken > 0 and remember(answer) or remember_nothing(answer)
