-- Sends a message of a claim to the dead letter queue.
-- script: once
-- with: served, read, held, send
-- ARGV: now, epoch, prepared, message id, claim id, name of the queue, of the dead letter queue, the ttl there or an
--   empty text, a token, reason (if there is one); the number
-- Returns 0 if done, else as in held.lua; and the volume.
local now, id, claim = tonumber(ARGV[1]), ARGV[4], ARGV[5]
local message = read(id)
local refused = refusal(message, claim, now)
if refused then return remember_nothing({ refused, volume }) end
local wait = promise_to_send(now)
if wait then return wait end
give_reason(message, #ARGV > 10 and ARGV[10])
bury(id, message, now, ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9])
return remember({ 0, volume })
