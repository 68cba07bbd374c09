-- Making notices of posts, and publishing posts.
-- with: listeners

-- Returns true if the post has deliveries, if one of them is due at once, and the volatile
-- subscriptions. Subscriptions with a delivery get the post after it, at a time that is promised.
local function audience(now)
  if call('EXISTS', SUB_EXPIRY, SUB_VOLATILE) == 0 then return false, false, {} end
  local volatile = call('ZRANGEBYSCORE', SUB_VOLATILE, '(' .. now, '+inf')
  table.sort(volatile)
  local lasting = call('ZCOUNT', SUB_EXPIRY, '(' .. now, '+inf') > 0
  return lasting, lasting and call('EXISTS', IDLE) == 1, volatile
end

local function framed(text)
  return struct.pack('>I4', #text) .. text
end

-- Makes a notice of some messages: their number, the members of each, and the bodies. In the list
-- of bodies each follows the id of its message.
local function notice(known, bodies, first, last)
  local header, texts = {}, {}
  for i = first, last do
    header[#header + 1] = known[i]
    texts[#texts + 1] = bodies[i * 2]
  end
  return struct.pack('>I4', #header) .. framed(pack(header)) .. table.concat(texts)
end

local function leave_notice(frame)
  call('HSET', NOTICES, call('HINCRBY', SUB, 'newest', 1), frame)
end

-- Publishes a post to all servers.
local function publish(channel, head, volatile, frame)
  call('PUBLISH', channel, framed(head) .. framed(pack(volatile)) .. frame)
end
