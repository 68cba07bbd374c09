-- Ends a move of this epoch; 0 if it does not exist.
-- script: once
-- with: catalog
-- ARGV: project and queue, epoch
local found = placement_of(ARGV[1], ARGV[2])
if not found or not found[L_TARGET] then return 0 end
local since = found[L_TARGET] == found[L_POOL] and found[L_SINCE] or found[L_EPOCH]
replace(ARGV[1], found, { found[L_TARGET], found[L_EPOCH], since, false, 0 })
return remember(1)
