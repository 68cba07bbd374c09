-- Places a queue that is not placed, if the catalogue has the revision that the pool was chosen
-- from; returns its placement, as placement_get does, or nothing.
-- script: repeatable
-- with: catalog
-- ARGV: project and queue, pool, revision
local raw = call('HGET', PLACED, ARGV[1])
if raw then return shown(raw) end
if (call('HGET', HEAD, 'revision') or '0') ~= ARGV[3] then return false end
local epoch = next_epoch()
local placement = { ARGV[2], epoch, epoch, false, 0 }
replace(ARGV[1], nil, placement)
return shown(pack(placement))
