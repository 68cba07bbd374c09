-- Deletes a message under the rules of the contract.
-- script: repeatable
-- with: served, read, drop
-- ARGV: now, message id, claim id (absent: none given)
-- Returns 0 if done, 1 if the message is claimed, 2 if the claim is not live; and the volume.
local now, id, claim = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local message = read(id)
if not message or message[EXPIRES] <= now then return { 0, known_volume() } end
local holder = message[CLAIM] ~= '' and lives(message[CLAIM], now) and message[CLAIM] or nil
if holder ~= claim then
  if claim and (not holder or not lives(claim, now)) then return { 2, volume } end
  return { 1, volume }
end
drop({ id }, { message })
return { 0, volume }
