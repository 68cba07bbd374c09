-- Refuses imported records unless the queue arrives by this epoch.
-- ARGV: epoch of the placement
local arriving, arriving_by = unpack(redis.call('HMGET', KEYS[1], 'seal', 'sealed'))
if arriving ~= 'arriving' or tonumber(arriving_by) ~= tonumber(ARGV[1]) then return 'changed' end
local ARRIVED = KEYS[#KEYS]
