-- Reads messages of a leaving queue, and the claims that hold them.
-- script: repeatable, unconfirmed
-- with: leaving, read, walk
-- ARGV: where to begin, limit, about how many bytes of bodies
-- Returns where the next page begins or an empty text; ids, messages, bodies; and with the first message of a claim,
-- its packed ttl, grace and creation, else an empty text.
local ids, raws, bodies, terms, size, known = {}, {}, {}, {}, 0, {}
local following = walk({ FREE, HIDDEN, POSTPONED, HELD }, ARGV[1], PAGE)
local id = following()
while id do
  local raw = call('HGET', META, id)
  if raw then
    ids[#ids + 1] = id
    raws[#ids], bodies[#ids] = raw, call('HGET', BODY, id)
    size = size + #bodies[#ids]
    local claim = unpacked(raw)[CLAIM]
    local kept = claim ~= '' and not known[claim] and call('HGET', CLAIMS, claim)
    terms[#ids] = ''
    if kept then
      kept, known[claim] = unpacked(kept), true
      terms[#ids] = pack({ kept[C_TTL], kept[C_GRACE], kept[C_CREATED] })
    end
    if #ids >= tonumber(ARGV[2]) or size >= tonumber(ARGV[3]) then break end
  end
  id = following()
end
return { id and '(' .. id or '', ids, raws, bodies, terms }
