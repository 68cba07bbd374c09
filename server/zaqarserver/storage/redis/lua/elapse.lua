-- Changes of messages because of the time.
-- with: queue, release

-- Ends claims and shows delayed messages that are due at `now`. Returns false if more is left to
-- do.
local function elapse(now)
  local room = ROOM
  local ended = call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, PAGE)
  for _, claim in ipairs(ended) do
    room = room - release(claim, now)
    if room <= 0 then return false end
  end
  if #ended == PAGE then return false end
  local shown = call('ZRANGEBYSCORE', LATE, '-inf', now, 'LIMIT', 0, room)
  each('ZREM', LATE, shown)
  each('ZREM', HIDDEN, shown)
  each('ZREM', POSTPONED, shown)
  add_all(FREE, shown)
  return #shown < room
end
