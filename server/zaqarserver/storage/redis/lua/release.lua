-- Freeing claimed messages.
-- with: queue, read, lives

-- Stores messages that are not under a claim any more; they are free after a delay.
local function set_free(ids, messages, now, delay)
  local free, hidden, postponed, late, changed = {}, {}, {}, {}, {}
  for i, id in ipairs(ids) do
    local message = messages[i]
    message[CLAIM] = ''
    if delay > 0 then
      message[VISIBLE], message[NOTES], message[LATER] = now + delay, message[NOTES] or false, true
    end
    changed[#changed + 1] = id
    changed[#changed + 1] = pack(message)
    if message[VISIBLE] > now then
      local set = message[LATER] and postponed or hidden
      set[#set + 1] = id
      late[#late + 1] = message[VISIBLE]
      late[#late + 1] = id
    else
      free[#free + 1] = id
    end
  end
  each('HSET', META, changed)
  add_all(FREE, free)
  add_all(HIDDEN, hidden)
  add_all(POSTPONED, postponed)
  each('ZADD', LATE, late)
end

-- Ends a claim and frees its messages; returns how many it held.
local function release(claim, now, delay)
  local ids, messages = {}, {}
  for _, id in ipairs(unpacked(call('HGET', CLAIMS, claim))[C_IDS]) do
    local message = read(id)
    if message and message[CLAIM] == claim then
      ids[#ids + 1] = id
      messages[#messages + 1] = message
    end
  end
  each('ZREM', HELD, ids)
  end_claim(claim)
  set_free(ids, messages, now, delay or 0)
  return #ids
end
