-- Reads a sealed queue's metadata and some of its claims.
-- with: leaving, queue
-- ARGV: where to go on, about how many
-- Returns where to go on, the metadata or an empty text, claims, and packed: ttl, grace, creation.
local cursor, page = unpack(call('HSCAN', CLAIMS, ARGV[1], 'COUNT', ARGV[2]))
local ids, terms = {}, {}
for i = 1, #page, 2 do
  if #page[i] == 30 then
    local claim = unpacked(page[i + 1])
    ids[#ids + 1] = page[i]
    terms[#ids] = pack({ claim[C_TTL], claim[C_GRACE], claim[C_CREATED] })
  end
end
return { cursor, call('HGET', HEAD, 'metadata') or '', ids, terms }
