-- Lists a page of unexpired grants.
-- script: repeatable, unconfirmed
-- with: sizes, grants
-- ARGV: now, where to begin, limit
local now, limit, start, found = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[2], {}
while #found < limit do
  local ids = redis.call('ZRANGEBYLEX', GRANT_ORDER, start, '+', 'LIMIT', 0, PAGE)
  for _, id in ipairs(ids) do
    if #found < limit and tonumber(redis.call('ZSCORE', GRANT_EXPIRY, id)) > now then
      found[#found + 1] = redis.call('HGET', GRANTS, id)
    end
    start = '(' .. id
  end
  if #ids < PAGE then break end
end
return found
