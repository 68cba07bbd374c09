-- Telling the servers that watch a queue that messages of it may be free.
-- with: queue

-- The field "watch" of the head has until when it is watched, the channel, and what to publish.
local function freed(now)
  local watch = call('HGET', HEAD, 'watch')
  if not watch then return end
  local ends, channel, frame = unpack(unpacked(watch))
  if ends > now then call('PUBLISH', channel, frame) end
end
