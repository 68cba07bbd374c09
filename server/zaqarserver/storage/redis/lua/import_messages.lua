-- Stores messages of an arriving queue; messages that are there already stay as they are.
-- script: repeatable
-- with: arriving, volume
-- ARGV: epoch of the placement, then for each: id, packed, body
local ids, metas, bodies, expiry, free, hidden, postponed, late, held, claims =
  {}, {}, {}, {}, {}, {}, {}, {}, {}, {}
local bytes, last = 0, tonumber(call('HGET', HEAD, 'last') or 0)

local function claim_of(id)
  if not claims[id] then
    local raw = call('HGET', CLAIMS, id) or call('HGET', ARRIVED, 'c' .. id)
    claims[id] = raw and { terms = unpacked(raw), added = 0 }
  end
  return claims[id]
end

for at = 2, #ARGV, 3 do
  local id, raw, body = unpack(ARGV, at, at + 2)
  if call('HEXISTS', META, id) == 0 then
    local message = unpacked(raw)
    local claim = message[CLAIM] ~= '' and claim_of(message[CLAIM])
    if claim then
      held[#held + 1] = id
      claim.terms[C_IDS][#claim.terms[C_IDS] + 1] = id
      claim.added = claim.added + 1
    else
      if message[CLAIM] ~= '' then
        message[CLAIM] = ''
        raw = pack(message)
      end
      if message[VISIBLE] > 0 then
        local set = message[LATER] and postponed or hidden
        set[#set + 1] = id
        late[#late + 1] = message[VISIBLE]
        late[#late + 1] = id
      else
        free[#free + 1] = id
      end
    end
    ids[#ids + 1] = id
    local place = #ids * 2
    metas[place - 1], metas[place] = id, raw
    bodies[place - 1], bodies[place] = id, body
    expiry[place - 1], expiry[place] = message[EXPIRES], id
    bytes = bytes + #body
    last = math.max(last, tonumber(id:sub(1, 14), 16))
  end
end
each('HSET', META, metas)
each('HSET', BODY, bodies)
each('ZADD', EXPIRY, expiry)
each('ZADD', LATE, late)
add_all(FREE, free)
add_all(HIDDEN, hidden)
add_all(POSTPONED, postponed)
add_all(HELD, held)
for id, claim in pairs(claims) do
  if claim and claim.added > 0 then
    call('HSET', CLAIMS, id, pack(claim.terms))
    call('HINCRBY', CLAIMS, 'n' .. id, claim.added)
    call('ZADD', ENDS, claim.terms[C_EXPIRES], id)
  end
end
-- Later posts sort after the messages that arrived.
call('HSET', HEAD, 'last', last)
count(#ids, bytes)
return 1
