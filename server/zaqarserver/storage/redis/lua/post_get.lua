-- Returns a list of the ids of the post with a key, nothing without one, 'reused' if it had another
-- digest.
-- script: repeatable, unconfirmed
-- with: served, keys
-- ARGV: now, idempotency key, digest
local post = call('HEXISTS', HEAD, 'rev') == 1 and post_of(ARGV[2], tonumber(ARGV[1]))
if not post then return false end
return post[P_DIGEST] == ARGV[3] and { post[P_IDS] } or 'reused'
