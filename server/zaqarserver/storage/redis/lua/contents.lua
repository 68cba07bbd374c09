-- Counts the records of a queue that leaves, or arrived so far.
-- script: repeatable, unconfirmed
-- with: queue, listeners, keys
-- ARGV: records that expire until then are left out
-- Returns 1 if the queue exists, idempotency keys, messages, claims, messages under them,
-- subscriptions, those of them that are not at the newest notice, and notices, if there is a
-- subscription.
local seal, since = call('HGET', HEAD, 'seal'), '(' .. ARGV[1]
if seal ~= 'leaving' and seal ~= 'arriving' then return 'changed' end
local claims, held = call('ZRANGEBYSCORE', ENDS, since, '+inf'), 0
for _, claim in ipairs(claims) do held = held + call('HGET', CLAIMS, 'n' .. claim) end
local listening, waiting = call('ZRANGEBYSCORE', SUB_EXPIRY, since, '+inf'), 0
local newest = tonumber(call('HGET', SUB, 'newest') or 0)
for _, id in ipairs(listening) do
  if tonumber(call('ZSCORE', BUSY, id) or call('ZSCORE', IDLE, id)) < newest then waiting = waiting + 1 end
end
local notices = #listening > 0 and call('HLEN', NOTICES) or 0
local exists = call('HEXISTS', HEAD, seal == 'leaving' and 'rev' or 'arrived')
local posts = call('ZCOUNT', POSTS_EXPIRY, since, '+inf')
local messages = call('ZCOUNT', EXPIRY, since, '+inf')
return { exists, posts, messages, #claims, held, #listening, waiting, notices }
