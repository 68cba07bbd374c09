-- Stores messages in order, all or none, and their notice if there are subscriptions.
-- script: once
-- with: promise, notices, volume, keys, freed
-- ARGV: now, epoch, prepared, number, revision, channel, head of what is published,
--   messages of a notice, idempotency key or an empty text, digest, when the key ends, then for
--   each message: random half of the id, expires, visible, packed, body
-- Returns the number of the first message, 1 if a delivery is due at once, the volatile
-- subscriptions that it is published for, the volume, and the ids if an earlier post with the key has
-- stored them; 'reused' if that had another digest.
local now, number, FIRST, WIDTH = tonumber(ARGV[1]), tonumber(ARGV[4]), 12, 5
local of_notice, key = tonumber(ARGV[8]), ARGV[9]
local revision, last, due, epoch, turn, old_count, old_bytes, seal =
  unpack(call('HMGET', HEAD, 'rev', 'last', 'due', 'epoch', 'turn', 'count', 'bytes', 'seal'))
if seal then return 'sealed' end
local first = key ~= '' and revision and post_of(key, now)
if first then
  if first[P_DIGEST] ~= ARGV[10] then return 'reused' end
  return { '', 0, {}, known_volume(), first[P_IDS] }
end

local first_due = tonumber(ARGV[11]) or math.huge
for at = FIRST, #ARGV - 1, WIDTH do first_due = math.min(first_due, tonumber(ARGV[at + 1])) end
local lasting, at_once, volatile = audience(ARGV[1])
local needs = (revision and '' or 'q') .. (promised(due, first_due) and '' or 'd')
if at_once and not promised(call('HGET', SUB, 'due'), now) then needs = needs .. 'n' end
local wait = unprepared(epoch or '', needs, first_due)
if wait then return wait end

if not revision then
  call('HSET', HEAD, 'rev', ARGV[5], 'metadata', '{}')
  call('PERSIST', HEAD)
end
local after = last and string.format('%014x', tonumber(last)) or ''
if last and tonumber(last) >= number then number = tonumber(last) + 1 end
local noticed, known = lasting or #volatile > 0, {}
local ids, metas, bodies, free, hidden, late, expiry, bytes = {}, {}, {}, {}, {}, {}, {}, 0
for at = FIRST, #ARGV - 1, WIDTH do
  local id = string.format('%014x', number + #ids) .. ARGV[at]
  ids[#ids + 1] = id
  local place = #ids * 2
  expiry[place - 1], expiry[place] = ARGV[at + 1], id
  metas[place - 1], metas[place] = id, ARGV[at + 3]
  bodies[place - 1], bodies[place] = id, ARGV[at + 4]
  bytes = bytes + #ARGV[at + 4]
  if noticed then
    local expires, visible = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local ttl, delay = expires - now, visible > 0 and visible - now or 0
    known[#ids] = { id, math.floor(ttl + 0.5), math.floor(delay + 0.5), expires, #ARGV[at + 4] }
  end
  if ARGV[at + 2] == '0' then
    free[#free + 1] = id
  else
    hidden[#hidden + 1] = id
    late[#late + 1] = ARGV[at + 2]
    late[#late + 1] = id
  end
end
each('HSET', META, metas)
each('HSET', BODY, bodies)
add_all(FREE, free)
add_all(HIDDEN, hidden)
each('ZADD', LATE, late)
each('ZADD', EXPIRY, expiry)
local volume = { (turn or 0) + 1, (old_count or 0) + #ids, (old_bytes or 0) + bytes }
call('HSET', HEAD, 'last', number + #ids - 1, 'turn', volume[1], 'count', volume[2], 'bytes', volume[3])
if needs:find('d', 1, true) then call('HSET', HEAD, 'due', string.format('%.17g', first_due)) end
if lasting then
  for at = 1, #ids, of_notice do
    leave_notice(notice(known, bodies, at, math.min(#ids, at + of_notice - 1)))
  end
end
if needs:find('n', 1, true) then call('HSET', SUB, 'due', string.format('%.17g', now)) end
if key ~= '' then
  sweep_keys(now, 4)
  call('HSET', POSTS, key, pack({ tonumber(ARGV[11]), ARGV[10], table.concat(ids, ' ') }))
  call('ZADD', POSTS_EXPIRY, ARGV[11], key)
end
freed(now)
if #volatile > 0 then publish(ARGV[6], ARGV[7], volatile, notice(known, bodies, 1, #ids) .. after) end
return remember({ string.format('%.0f', number), at_once and 1 or 0, volatile, volume, '' })
