-- Lists a page of live subscriptions.
-- script: repeatable, unconfirmed
-- with: served, listeners
-- ARGV: now, where to begin, limit
-- Returns ids, packed.
local now, limit, start, ids, raws = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[2], {}, {}
while #ids < limit do
  local page = call('ZRANGEBYLEX', ORDER, start, '+', 'LIMIT', 0, PAGE)
  for _, id in ipairs(page) do
    local raw = call('HGET', RECORDS, id)
    if #ids < limit and unpacked(raw)[S_EXPIRES] > now then
      ids[#ids + 1] = id
      raws[#raws + 1] = raw
    end
    start = '(' .. id
  end
  if #page < PAGE then break end
end
return { ids, raws }
