-- The end of subscriptions and notices.
-- with: listeners

-- Removes notices that all subscriptions have finished, a bounded number at a time.
local function dispose()
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
  return gone
end

-- Returns a number that rises with each change, and how many subscriptions there are.
local function subscribed()
  return { call('HINCRBY', KEYS[1], 'turn', 1), call('ZCARD', ORDER) }
end
