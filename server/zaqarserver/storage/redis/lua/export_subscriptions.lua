-- Reads subscriptions of a leaving queue.
-- script: repeatable, unconfirmed
-- with: leaving, listeners
-- ARGV: where to begin, limit
-- Returns where the next page begins or an empty text; ids, packed, and when their deliveries are
-- due.
local ids, raws, dues = call('ZRANGEBYLEX', ORDER, ARGV[1], '+', 'LIMIT', 0, ARGV[2]), {}, {}
local newest = tonumber(call('HGET', SUB, 'newest') or 0)
for i, id in ipairs(ids) do
  local idle = call('ZSCORE', IDLE, id)
  raws[i] = call('HGET', RECORDS, id)
  dues[i] = call('ZSCORE', DUE, id) or (idle and tonumber(idle) < newest and '0' or '')
end
return { #ids == tonumber(ARGV[2]) and '(' .. ids[#ids] or '', ids, raws, dues }
