-- Stores idempotency keys of an arriving queue.
-- script: repeatable
-- with: arriving, keys
-- ARGV: epoch of the placement, then for each: key, packed, when it ends
for at = 2, #ARGV, 3 do
  call('HSET', POSTS, ARGV[at], ARGV[at + 1])
  call('ZADD', POSTS_EXPIRY, ARGV[at + 2], ARGV[at])
end
return 1
