-- Removing messages.
-- with: queue, lives, leave, volume

-- Removes messages completely, and the claims that hold nothing any more.
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
  each('ZREM', HELD, held)
  leave(others, hidden)
  each('HDEL', META, ids)
  each('HDEL', BODY, ids)
  each('ZREM', EXPIRY, ids)
  for _, claim in ipairs(claims) do leave_claim(claim) end
  if #ids > 0 then count(0 - #ids, 0 - bytes) end
end
