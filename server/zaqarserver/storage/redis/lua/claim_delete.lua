-- Releases a live claim.
-- script: repeatable
-- with: served, release, freed
-- ARGV: now, claim id, seconds until the messages are free
local now = tonumber(ARGV[1])
if lives(ARGV[2], now) then
  release(ARGV[2], now, tonumber(ARGV[3]))
  freed(now)
end
return 1
