-- Deletes a message under the rules of the contract.
-- script: repeatable
-- with: served, read, drop, held
-- ARGV: now, message id, claim id (absent: none given)
-- Returns 0 if done, else as in held.lua; and the volume.
local now, id, claim = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local message = read(id)
local refused = refusal(message, claim, now)
if refused == 3 then return { 0, known_volume() } end
if refused then return { refused, volume } end
drop({ id }, { message })
return { 0, volume }
