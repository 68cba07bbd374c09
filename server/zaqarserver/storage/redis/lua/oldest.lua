-- Finding messages that can be claimed.
-- with: queue, read, walk, leave

-- Finds the oldest messages that can be claimed; expired ones that it meets leave the sets.
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

local function raws_of(messages)
  local raws = {}
  for i, message in ipairs(messages) do raws[i] = pack(message) end
  return raws
end
