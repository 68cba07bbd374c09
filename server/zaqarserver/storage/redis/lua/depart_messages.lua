-- Reads messages of a sealed queue.
-- with: leaving, read, walk
-- ARGV: where to begin, limit, about how many bytes of bodies
-- Returns where to go on or an empty text; ids, messages, bodies.
local ids, raws, bodies, size = {}, {}, {}, 0
local following = walk({ FREE, HIDDEN, HELD }, ARGV[1], PAGE)
local id = following()
while id do
  local raw = call('HGET', META, id)
  if raw then
    ids[#ids + 1] = id
    raws[#ids], bodies[#ids] = raw, call('HGET', BODY, id)
    size = size + #bodies[#ids]
    if #ids >= tonumber(ARGV[2]) or size >= tonumber(ARGV[3]) then break end
  end
  id = following()
end
return { id and '(' .. id or '', ids, raws, bodies }
