-- Reads subscriptions of a leaving queue.
-- script: repeatable, unconfirmed
-- with: leaving, listeners
-- ARGV: where to begin, limit
-- Returns where the next page begins or an empty text; ids, packed, when their deliveries are due,
-- the last notice that each has finished, position in the next one, attempt.
local ids = call('ZRANGEBYLEX', ORDER, ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local raws, dues, cursors, positions, attempts = {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local state = call('HGET', STATE, id)
  state = state and unpacked(state) or {}
  raws[i], dues[i] = call('HGET', RECORDS, id), call('ZSCORE', DUE, id) or ''
  cursors[i] = tonumber(call('ZSCORE', BUSY, id) or call('ZSCORE', IDLE, id) or 0)
  positions[i], attempts[i] = state[D_POSITION] or 0, state[D_ATTEMPT] or 0
end
return { #ids == tonumber(ARGV[2]) and '(' .. ids[#ids] or '', ids, raws, dues, cursors, positions, attempts }
