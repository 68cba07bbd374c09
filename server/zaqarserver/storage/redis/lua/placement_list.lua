-- Lists the queues in a pool; returns their members, and for each what placement_get returns.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: pool, where to begin, limit
local found = call('ZRANGEBYLEX', AT, ARGV[2], '(' .. ARGV[1] .. AFTER, 'LIMIT', 0, ARGV[3])
local places, placements = {}, {}
for i, member in ipairs(found) do
  places[i] = member:sub(#ARGV[1] + #JOINT + 1)
  placements[i] = shown(call('HGET', PLACED, places[i]))
end
return { places, placements }
