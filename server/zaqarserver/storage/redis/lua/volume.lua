-- The volume of a queue.
-- with: queue

-- The contents of the queue after a change, for the project's sums: a number that rises with each
-- change, messages, bytes of bodies. Empty if nothing changed.
local volume = {}

-- Counts messages that are added or removed.
local function count(messages, bytes)
  local turn, old_messages, old_bytes = unpack(call('HMGET', HEAD, 'turn', 'count', 'bytes'))
  volume = { (turn or 0) + 1, (old_messages or 0) + messages, (old_bytes or 0) + bytes }
  call('HSET', HEAD, 'turn', volume[1], 'count', volume[2], 'bytes', volume[3])
end

-- Returns the volume although nothing changed: the reply that had it may be lost.
local function known_volume()
  local turn, messages, bytes = unpack(call('HMGET', HEAD, 'turn', 'count', 'bytes'))
  return turn and { tonumber(turn), tonumber(messages or 0), tonumber(bytes or 0) } or {}
end
