-- Counts the records of a queue that leaves, or arrived so far.
-- script: repeatable, unconfirmed
-- with: queue, listeners
-- ARGV: records that expire until then are left out
-- Returns 1 if the queue exists, messages, claims, messages under them, subscriptions, those of them that wait for a
-- notice, and for how many in all.
local seal, since = call('HGET', HEAD, 'seal'), '(' .. ARGV[1]
if seal ~= 'leaving' and seal ~= 'arriving' then return 'changed' end
local claims, held = call('ZRANGEBYSCORE', ENDS, since, '+inf'), 0
for _, claim in ipairs(claims) do held = held + call('HGET', CLAIMS, 'n' .. claim) end
local listening, waiting, deliveries = call('ZRANGEBYSCORE', SUB_EXPIRY, since, '+inf'), 0, 0
local newest = tonumber(call('HGET', SUB, 'newest') or 0)
for _, id in ipairs(listening) do
  local last = call('ZSCORE', BUSY, id) or call('ZSCORE', IDLE, id)
  if last and last ~= 'inf' and tonumber(last) < newest then
    waiting = waiting + 1
    deliveries = deliveries + newest - tonumber(last)
  end
end
local exists = call('HEXISTS', HEAD, seal == 'leaving' and 'rev' or 'arrived')
return { exists, call('ZCOUNT', EXPIRY, since, '+inf'), #claims, held, #listening, waiting, deliveries }
