-- Reads a live claim.
-- script: repeatable, unconfirmed
-- with: served, read, lives
-- ARGV: now, claim id
-- Returns nothing, or ttl, grace, creation, ids, messages, bodies.
local now, claim = tonumber(ARGV[1]), ARGV[2]
if not lives(claim, now) then return false end
local held, ids, raws = unpacked(call('HGET', CLAIMS, claim)), {}, {}
for _, id in ipairs(held[C_IDS]) do
  local raw = call('HGET', META, id)
  if raw and unpacked(raw)[CLAIM] == claim then
    ids[#ids + 1] = id
    raws[#raws + 1] = raw
  end
end
return {
  held[C_TTL], held[C_GRACE], string.format('%.17g', held[C_CREATED]),
  ids, raws, get_all(BODY, ids),
}
