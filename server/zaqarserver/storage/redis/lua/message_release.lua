-- Frees a message of a claim.
-- script: once
-- with: served, release, held, freed
-- ARGV: now, message id, claim id, seconds until it is free, reason (if there is one); the number
-- Returns 0 if done, else as in held.lua.
local now, id, claim, reason = tonumber(ARGV[1]), ARGV[2], ARGV[3], #ARGV > 5 and ARGV[5]
local message = read(id)
local refused = refusal(message, claim, now)
if refused then return remember_nothing(refused) end
call('ZREM', HELD, id)
leave_claim(claim)
give_reason(message, reason)
set_free({ id }, { message }, now, tonumber(ARGV[4]))
freed(now)
return remember(0)
