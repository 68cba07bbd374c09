-- Idempotency keys of a queue: POSTS has the post of each, packed, and POSTS_EXPIRY their ends.
-- with: queue

local POSTS, POSTS_EXPIRY = KEYS[25], KEYS[26]
-- The members of a packed post; the ids have blanks between them.
local P_EXPIRES, P_DIGEST, P_IDS = 1, 2, 3

-- Returns the post of a key, or nil.
local function post_of(key, now)
  local found = call('HGET', POSTS, key)
  local post = found and unpacked(found)
  return post and post[P_EXPIRES] > now and post or nil
end

-- Removes some keys that have expired; returns how many.
local function sweep_keys(now, room)
  local gone = call('ZRANGEBYSCORE', POSTS_EXPIRY, '-inf', now, 'LIMIT', 0, room)
  each('HDEL', POSTS, gone)
  each('ZREM', POSTS_EXPIRY, gone)
  return #gone
end
