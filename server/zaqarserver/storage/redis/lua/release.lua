-- Freeing the messages of a claim.
-- with: queue, read, lives

-- Ends a claim and frees its messages; returns how many it held.
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
  each('ZREM', HELD, ids)
  end_claim(claim)
  each('HSET', META, changed)
  add_all(FREE, free)
  add_all(HIDDEN, hidden)
  each('ZADD', LATE, late)
  return #ids
end
