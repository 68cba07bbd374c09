-- Lists moves by their lease; returns the same as placement_list.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: before, limit
local places, placements = call('ZRANGEBYSCORE', MOVES, '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2]), {}
for i, place in ipairs(places) do placements[i] = shown(call('HGET', PLACED, place)) end
return { places, placements }
