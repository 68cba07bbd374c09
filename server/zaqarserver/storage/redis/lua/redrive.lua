-- Sends messages that are not claimed to another queue.
-- script: once
-- with: served, read, send
-- ARGV: now, epoch, prepared, the other queue, its ttl, until when they are postponed or 0, a token, ids; the number
-- Returns the ids that are sent, and the volume.
local now, target, ttl, visible = tonumber(ARGV[1]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local ids, messages = {}, {}
for at = 8, #ARGV - 1 do
  local message = read(ARGV[at])
  if message and message[EXPIRES] > now and not (message[CLAIM] ~= '' and lives(message[CLAIM], now)) then
    ids[#ids + 1] = ARGV[at]
    messages[#ids] = message
  end
end
if #ids == 0 then return remember_nothing({ ids, known_volume() }) end
local wait = promise_to_send(now)
if wait then return wait end
for i, id in ipairs(ids) do
  send(id, messages[i], moved_message(messages[i], now + ttl, ttl, visible, false), target, ARGV[7])
end
return remember({ ids, volume })
