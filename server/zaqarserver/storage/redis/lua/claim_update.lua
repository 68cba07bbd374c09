-- Renews a live claim; 0 if it does not exist.
-- script: repeatable
-- with: served, read, lives, freed
-- ARGV: now, claim id, ttl, grace
local now, claim, ttl, grace = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if not lives(claim, now) then return 0 end
call('ZREM', ENDS, claim)
local before = unpacked(call('HGET', CLAIMS, claim))
local ids, changed, ends = before[C_IDS], {}, now + ttl
for _, id in ipairs(ids) do
  local message = read(id)
  if message and message[CLAIM] == claim and message[EXPIRES] < ends then
    message[TTL], message[EXPIRES] = ttl + grace, ends + grace
    call('ZADD', EXPIRY, message[EXPIRES], id)
    changed[#changed + 1] = id
    changed[#changed + 1] = pack(message)
  end
end
each('HSET', META, changed)
call('HSET', CLAIMS, claim, pack({ ttl, grace, now, ends, ids }))
call('ZADD', ENDS, ends, claim)
-- Servers with waiters know the later end.
if ends < before[C_EXPIRES] then freed(now) end
return 1
