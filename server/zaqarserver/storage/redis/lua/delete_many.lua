-- Deletes messages, all or none.
-- script: repeatable
-- with: served, read, drop
-- ARGV: now, number of claims or -1 for any or none, claim ids, message ids
-- Returns 0, or 1 if a message is not under the named claims; and the volume.
local now, named = tonumber(ARGV[1]), tonumber(ARGV[2])
local claims, ids, messages = {}, {}, {}
for i = 3, 2 + math.max(named, 0) do claims[ARGV[i]] = true end
for i = 3 + math.max(named, 0), #ARGV do
  local message = read(ARGV[i])
  if message and message[EXPIRES] > now then
    local claim = message[CLAIM]
    if named >= 0 and not (claims[claim] and lives(claim, now)) then return { 1, volume } end
    ids[#ids + 1] = ARGV[i]
    messages[#messages + 1] = message
  end
end
if #ids == 0 then return { 0, known_volume() } end
drop(ids, messages)
return { 0, volume }
