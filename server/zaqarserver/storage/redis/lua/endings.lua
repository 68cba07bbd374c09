-- The end of subscriptions and notices.
-- with: listeners

-- Removes notices that all subscriptions have finished, a bounded number at a time. Those of a sealed
-- queue are left alone: both stores count them.
local function dispose()
  if call('HEXISTS', KEYS[1], 'seal') == 1 then return end
  local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
  local done = tonumber(newest or 0)
  first = tonumber(first or 1)
  for _, key in ipairs({ IDLE, BUSY }) do
    local least = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if least[2] then done = math.min(done, tonumber(least[2])) end
  end
  done = math.min(done, first + ROOM - 1)
  if done < first then return end
  local numbers = {}
  for number = first, done do numbers[#numbers + 1] = number end
  call('HDEL', NOTICES, unpack(numbers))
  call('HSET', SUB, 'first', done + 1)
end

local function is_over(frame, now)
  local _, header = struct.unpack('>I4I4', frame)
  for _, message in ipairs(unpacked(frame:sub(9, 8 + header))) do
    if message[M_EXPIRES] > now then return false end
  end
  return true
end

-- Removes the oldest notices if their messages have expired, a bounded number at a time.
local function expire_notices(now)
  local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
  local number, last = tonumber(first or 1), tonumber(newest or 0)
  last = math.min(last, number + ROOM - 1)
  while number <= last do
    local frame = call('HGET', NOTICES, number)
    if frame and not is_over(frame, now) then break end
    call('HDEL', NOTICES, number)
    number = number + 1
  end
  if number > tonumber(first or 1) then call('HSET', SUB, 'first', number) end
end

-- Puts a subscription after the newest notice: it gets later posts only.
local function catch_up(id)
  call('ZREM', BUSY, id)
  call('ZREM', DUE, id)
  call('HDEL', STATE, id)
  call('ZADD', IDLE, call('HGET', SUB, 'newest') or 0, id)
end

local function forget(id)
  local raw = call('HGET', RECORDS, id)
  if not raw then return end
  local uri = unpacked(raw)[S_URI]
  if call('HGET', URIS, uri) == id then call('HDEL', URIS, uri) end
  for _, key in ipairs({ ORDER, SUB_EXPIRY, SUB_VOLATILE, IDLE, BUSY, DUE }) do call('ZREM', key, id) end
  call('HDEL', RECORDS, id)
  call('HDEL', STATE, id)
end

-- Removes subscriptions that have ended; returns how many.
local function sweep_listeners(now, room)
  if call('EXISTS', RECORDS) == 0 then return 0 end
  local gone = 0
  for _, key in ipairs({ SUB_EXPIRY, SUB_VOLATILE }) do
    for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, math.max(room - gone, 0))) do
      forget(id)
      gone = gone + 1
    end
  end
  dispose()
  if call('HEXISTS', KEYS[1], 'seal') == 0 then expire_notices(now) end
  return gone
end

-- Returns a number that rises with each change, and how many subscriptions there are.
local function subscribed()
  return { call('HINCRBY', KEYS[1], 'turn', 1), call('ZCARD', ORDER) }
end
