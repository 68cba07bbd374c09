-- What the scripts of subscriptions share: the keys, notices, and how deliveries are kept.
--
-- A post leaves one notice, numbered. Each subscription keeps the number of the last notice
-- that it is done with: as its score in IDLE while it waits for the next one, in BUSY while it
-- has a delivery, whose progress is in STATE and whose next time is in DUE. So a post costs the
-- same however many listen, and of one subscription only one delivery can be out. A notice is
-- removed when all are done with it.

local AT = #KEYS > 12 and 12 or 1
local SUB, SUB_EXPIRY, SUB_VOLATILE, NOTICES, RECORDS, ORDER, URIS, IDLE, BUSY, DUE, STATE =
  unpack(KEYS, AT + 1, AT + 11)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack

-- The members of a packed subscription, of the state of a delivery, and of a packed message.
local S_URI, S_TTL, S_CREATED, S_EXPIRES, S_OPTIONS, S_CONFIRMED, S_OWNER = 1, 2, 3, 4, 5, 6, 7
local D_NUMBER, D_POSITION, D_ATTEMPT, D_COUNT = 1, 2, 3, 4
local M_CREATED, M_EXPIRES, M_TTL, M_VISIBLE = 1, 2, 3, 4

-- Tells whether anybody is to be notified, and who listens through a connection.
local function audience(now)
  if call('EXISTS', SUB_EXPIRY, SUB_VOLATILE) == 0 then return false, {} end
  local volatile = call('ZRANGEBYSCORE', SUB_VOLATILE, '(' .. now, '+inf')
  table.sort(volatile)
  return call('ZCOUNT', SUB_EXPIRY, '(' .. now, '+inf') > 0, volatile
end

local function framed(text)
  return struct.pack('>I4', #text) .. text
end

-- Makes a notice: the number of its messages, what is known of each, and the bodies.
-- Ids alternate with what is packed, or the body, in the lists that are given.
local function notice(ids, metas, bodies)
  local header, texts = {}, {}
  for i, id in ipairs(ids) do
    local message, body = unpacked(metas[i * 2]), bodies[i * 2]
    local hidden = message[M_VISIBLE]
    local delay = hidden > 0 and math.floor(hidden - message[M_CREATED] + 0.5) or 0
    header[i] = { id, message[M_TTL], delay, message[M_EXPIRES], #body }
    texts[i] = body
  end
  return struct.pack('>I4', #ids) .. framed(pack(header)) .. table.concat(texts)
end

local function leave_notice(frame, now)
  call('HSET', NOTICES, call('HINCRBY', SUB, 'newest', 1), frame)
  local due = call('HGET', SUB, 'due')
  if not due or tonumber(due) > now then call('HSET', SUB, 'due', string.format('%.17g', now)) end
end

-- Tells all servers of a post.
local function tell(channel, news, volatile, frame)
  call('PUBLISH', channel, framed(news) .. framed(pack(volatile)) .. frame)
end

-- Removes notices that all subscriptions are done with, a bounded number at a time.
local function dispose()
  local newest, first = unpack(call('HMGET', SUB, 'newest', 'first'))
  local done = tonumber(newest or 0)
  first = tonumber(first or 1)
  for _, key in ipairs({ IDLE, BUSY }) do
    local least = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if least[2] then done = math.min(done, tonumber(least[2])) end
  end
  done = math.min(done, first + 999)
  if done < first then return end
  local numbers = {}
  for number = first, done do numbers[#numbers + 1] = number end
  call('HDEL', NOTICES, unpack(numbers))
  call('HSET', SUB, 'first', done + 1)
end

-- Puts a subscription behind the newest notice: it hears of later posts only.
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

-- Returns how many subscriptions there are, behind a number that rises with each change.
local function subscribed()
  return { call('HINCRBY', KEYS[1], 'turn', 1), call('ZCARD', ORDER) }
end

-- Returns when a delivery has to be looked at, 0 for at once, nil for never.
local function next_delivery()
  local newest, idle = call('HGET', SUB, 'newest'), call('ZRANGE', IDLE, 0, 0, 'WITHSCORES')
  if newest and idle[2] and tonumber(idle[2]) < tonumber(newest) then return 0 end
  local due = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  return due[2] and tonumber(due[2])
end
