-- Releases a live claim.
-- script: repeatable
-- with: served, release
-- ARGV: now, claim id
local now = tonumber(ARGV[1])
if lives(ARGV[2], now) then release(ARGV[2], now) end
return 1
