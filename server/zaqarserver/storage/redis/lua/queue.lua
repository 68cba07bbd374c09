-- What the scripts of queues share: the keys, and what is done to messages.
--
-- A message is in one of four places: FREE, HIDDEN (and LATE, the same by time), HELD, or,
-- if it expired and was met on the way, in none; META, BODY and EXPIRY know all of them.
-- Places are as of the last call of settle(); nobody else moves messages because of the
-- time. Redis' own clock is never asked: `now` is an argument of each script.
--
-- Redis that is out of memory refuses a script at the first command that may need more, and lets
-- one go on that has changed something before. What frees memory, and claims, therefore begin
-- with a removal.

local HEAD, META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS, OUT, IN = unpack(KEYS, 1, 12)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack

-- The members of a packed message.
local CREATED, EXPIRES, TTL, VISIBLE, COUNT, CLAIM, CLIENT, CHECKSUM = 1, 2, 3, 4, 5, 6, 7, 8
-- The members of a packed claim.
local C_TTL, C_GRACE, C_CREATED, C_EXPIRES, C_IDS = 1, 2, 3, 4, 5

local STEP = 2000 -- values that one command gets; Lua's stack ends at 8000
local ROOM = 1000 -- messages that one script looks at in vain, or moves because of the time
local AGAIN = 'again' -- the answer of a script that has to be called again

local function in_steps(values, action)
  for first = 1, #values, STEP do
    action(unpack(values, first, math.min(first + STEP - 1, #values)))
  end
end

local function remove_all(command, key, members)
  in_steps(members, function(...) call(command, key, ...) end)
end

local function set_all(key, pairs_of)
  in_steps(pairs_of, function(...) call('HSET', key, ...) end)
end

-- Adds ids to a set that is ordered by id: all have the score 0.
local function add_all(key, ids)
  local members = {}
  for _, id in ipairs(ids) do
    members[#members + 1] = 0
    members[#members + 1] = id
  end
  in_steps(members, function(...) call('ZADD', key, ...) end)
end

local function get_all(key, ids)
  local found = {}
  in_steps(ids, function(...)
    for _, value in ipairs(call('HMGET', key, ...)) do found[#found + 1] = value end
  end)
  return found
end

local function read(id)
  local raw = call('HGET', META, id)
  return raw and unpacked(raw)
end

-- Returns a function that gives the ids of several sets in order, nil at the end.
local function walk(sets, after, page, backwards)
  local command = backwards and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
  local start, stop = after or (backwards and '+' or '-'), backwards and '-' or '+'
  local pages, places, following = {}, {}, {}
  for i = 1, #sets do
    pages[i], places[i], following[i] = {}, 1, start
  end
  return function()
    local best
    for i = 1, #sets do
      if places[i] > #pages[i] and following[i] then
        pages[i] = call(command, sets[i], following[i], stop, 'LIMIT', 0, page)
        places[i] = 1
        following[i] = #pages[i] == page and '(' .. pages[i][page]
      end
      local id = pages[i][places[i]]
      local other = best and pages[best][places[best]]
      if id and (not other or (backwards and id > other) or (not backwards and id < other)) then
        best = i
      end
    end
    if best then
      places[best] = places[best] + 1
      return pages[best][places[best] - 1]
    end
  end
end

-- Tells whether a claim is live; a live claim always holds a live message.
local function lives(claim, now)
  local ends = call('ZSCORE', ENDS, claim)
  return ends and tonumber(ends) > now
end

local function end_claim(claim)
  call('HDEL', CLAIMS, claim, 'n' .. claim)
  call('ZREM', ENDS, claim)
end

-- Ends a claim and frees its messages; returns how many those were.
local function release(claim, now)
  local ids, free, hidden, late, changed = {}, {}, {}, {}, {}
  for _, id in ipairs(unpacked(call('HGET', CLAIMS, claim))[C_IDS]) do
    local message = read(id)
    if message and message[CLAIM] == claim then
      ids[#ids + 1] = id
      message[CLAIM] = ''
      changed[#changed + 1] = id
      changed[#changed + 1] = pack(message)
      if message[VISIBLE] > now then
        hidden[#hidden + 1] = id
        late[#late + 1] = message[VISIBLE]
        late[#late + 1] = id
      else
        free[#free + 1] = id
      end
    end
  end
  remove_all('ZREM', HELD, ids)
  end_claim(claim)
  set_all(META, changed)
  add_all(FREE, free)
  add_all(HIDDEN, hidden)
  for i = 1, #late, 2 do call('ZADD', LATE, late[i], late[i + 1]) end
  return #ids
end

-- Does what time does: ends claims, shows what was delayed. False: some is left to do.
local function settle(now)
  local room = ROOM
  local ended = call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, 100)
  for _, claim in ipairs(ended) do
    room = room - release(claim, now)
    if room <= 0 then return false end
  end
  if #ended == 100 then return false end
  local shown = call('ZRANGEBYSCORE', LATE, '-inf', now, 'LIMIT', 0, room)
  remove_all('ZREM', LATE, shown)
  remove_all('ZREM', HIDDEN, shown)
  add_all(FREE, shown)
  return #shown < room
end

-- Takes ids out of the places of what can be claimed; they are left to the sweeper, or moved.
local function leave(ids, hidden_too)
  remove_all('ZREM', FREE, ids)
  if hidden_too then
    remove_all('ZREM', HIDDEN, ids)
    remove_all('ZREM', LATE, ids)
  end
end

-- Finds the oldest messages that can be claimed; those that have expired leave on the way.
-- Returns ids and messages, and whether the search ended early.
local function oldest_free(now, limit, hidden_too)
  local sets = hidden_too and { FREE, HIDDEN } or { FREE }
  local ids, messages, dead, early = {}, {}, {}, false
  local following = walk(sets, nil, math.min(limit, ROOM))
  while #ids < limit do
    local id = following()
    if not id then break end
    local message = read(id)
    if message and message[EXPIRES] > now then
      ids[#ids + 1] = id
      messages[#messages + 1] = message
    else
      dead[#dead + 1] = id
      if #dead == ROOM then
        early = true
        break
      end
    end
  end
  leave(dead, hidden_too)
  return ids, messages, early
end

-- What the queue holds after a change, for the project's sums: a number that rises with each
-- change, messages, bytes of bodies. Empty if nothing changed.
local volume = {}

-- Counts messages that come or go.
local function count(messages, bytes)
  volume = {
    call('HINCRBY', HEAD, 'turn', 1),
    call('HINCRBY', HEAD, 'count', messages),
    call('HINCRBY', HEAD, 'bytes', bytes),
  }
end

-- Removes messages altogether, and the claims that hold nothing any more.
local function drop(ids, messages)
  local held, claims, others, hidden, bytes = {}, {}, {}, false, 0
  for i, id in ipairs(ids) do
    local claim = messages[i][CLAIM]
    bytes = bytes + call('HSTRLEN', BODY, id)
    if claim ~= '' then
      held[#held + 1] = id
      claims[#claims + 1] = claim
    else
      others[#others + 1] = id
      hidden = hidden or messages[i][VISIBLE] > 0
    end
  end
  remove_all('ZREM', HELD, held)
  leave(others, hidden)
  remove_all('HDEL', META, ids)
  remove_all('HDEL', BODY, ids)
  remove_all('ZREM', EXPIRY, ids)
  for _, claim in ipairs(claims) do
    if call('HINCRBY', CLAIMS, 'n' .. claim, -1) <= 0 then end_claim(claim) end
  end
  if #ids > 0 then count(0 - #ids, 0 - bytes) end -- Redis takes no -0
end

local function raws_of(messages)
  local raws = {}
  for i, message in ipairs(messages) do raws[i] = pack(message) end
  return raws
end
