-- Revokes a grant; 0 if a live grant with the id does not exist.
-- script: repeatable
-- with: grants
-- ARGV: now, id
local raw, ends = redis.call('HGET', GRANTS, ARGV[2]), redis.call('ZSCORE', GRANT_EXPIRY, ARGV[2])
if not raw or tonumber(ends) <= tonumber(ARGV[1]) then return 0 end
local grant = cmsgpack.unpack(raw)
grant[#grant] = true
redis.call('HSET', GRANTS, ARGV[2], cmsgpack.pack(grant))
return 1
