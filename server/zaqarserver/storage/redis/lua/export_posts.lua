-- Reads idempotency keys of a leaving queue.
-- script: repeatable, unconfirmed
-- with: leaving, keys
-- ARGV: where to begin, limit
-- Returns where the next page begins or an empty text; keys, packed.
local first, limit, raws = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
local found = call('ZRANGE', POSTS_EXPIRY, first, first + limit - 1)
for i, key in ipairs(found) do raws[i] = call('HGET', POSTS, key) end
return { #found == limit and tostring(first + limit) or '', found, raws }
