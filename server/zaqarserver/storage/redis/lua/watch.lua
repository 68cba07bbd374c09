-- Watches a queue until a time; it need not exist.
-- script: repeatable, unconfirmed
-- with: served, queue
-- ARGV: now, until, channel, what is published
-- Returns the next time at which messages become free because of the time, or an empty text.
local ends, left = tonumber(ARGV[2]), math.ceil(ARGV[2] - ARGV[1])
local is_new, lasts = call('EXISTS', HEAD) == 0, call('TTL', HEAD)
local watch = call('HGET', HEAD, 'watch')
if watch then ends = math.max(ends, unpacked(watch)[1]) end
call('HSET', HEAD, 'watch', pack({ ends, ARGV[3], ARGV[4] }))
-- The head of a queue that exists lasts, and one that remembers a deleted queue lasts longer.
if is_new or (lasts >= 0 and lasts < left) then call('EXPIRE', HEAD, left) end
local first = math.huge
for _, key in ipairs({ ENDS, LATE }) do
  local found = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if found[2] then first = math.min(first, tonumber(found[2])) end
end
return first < math.huge and string.format('%.17g', first) or ''
