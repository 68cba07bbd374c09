-- Claims the oldest messages that can be claimed.
-- script: once
-- with: elapse, oldest, send, freed
-- ARGV: now, epoch, prepared, claim id, ttl, grace, limit, 1 with delayed ones, and if there is
--   a dead letter queue: its name, the most claims, the ttl there or an empty text, the name of this queue; the number
-- Returns ids, messages, bodies, 1 if some are on their way to the dead letter queue, and the
-- volume; nothing for the ids if it comes again: what it claimed is in the claim.
local now, claim, ttl, grace = tonumber(ARGV[1]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local target, most, target_ttl
if #ARGV > 9 then target, most, target_ttl = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]) end
local revision, seal = unpack(call('HMGET', HEAD, 'rev', 'seal'))
if seal then return 'sealed' end
if not revision then return { {}, {}, {}, 0, volume } end
if not elapse(now) then return AGAIN end
local found, messages, early = oldest_free(now, tonumber(ARGV[7]), ARGV[8] == '1')
if early and #found == 0 then return AGAIN end

local exhausted = 0
for _, message in ipairs(messages) do
  if message[COUNT] >= (most or math.huge) then exhausted = exhausted + 1 end
end
if exhausted > 0 then
  local wait = promise_to_send(now)
  if wait then return wait end
end

local ids, raws, changed, extended, ends = {}, {}, {}, {}, now + ttl
for i, id in ipairs(found) do
  local message = messages[i]
  if message[COUNT] >= (most or math.huge) then
    bury(id, message, now, ARGV[12], target, target_ttl, claim)
  else
    message[CLAIM] = claim
    message[COUNT] = message[COUNT] + 1
    if message[EXPIRES] < ends then
      message[TTL], message[EXPIRES] = ttl + grace, ends + grace
      extended[#extended + 1] = message[EXPIRES]
      extended[#extended + 1] = id
    end
    ids[#ids + 1] = id
    raws[#raws + 1] = pack(message)
    changed[#changed + 1] = id
    changed[#changed + 1] = raws[#raws]
  end
end
if #ids > 0 then
  leave(ids, ARGV[8] == '1')
  add_all(HELD, ids)
  each('HSET', META, changed)
  each('ZADD', EXPIRY, extended)
  call('HSET', CLAIMS, claim, pack({ ttl, grace, now, ends, ids }), 'n' .. claim, #ids)
  call('ZADD', ENDS, ends, claim)
end
local moving = exhausted > 0 and 1 or 0
if exhausted > 0 then freed(now) end -- others may be free behind those that are on their way
local again = { false, {}, {}, moving, volume }
if #found > 0 then remember(again) else remember_nothing(again) end
return { ids, raws, get_all(BODY, ids), moving, volume }
