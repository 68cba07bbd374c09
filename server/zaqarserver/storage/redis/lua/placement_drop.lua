-- Removes a placement of this epoch that is not being moved; 0 if it does not exist.
-- script: once
-- with: catalog
-- ARGV: project and queue, epoch
local found = placement_of(ARGV[1], ARGV[2])
if not found or found[L_TARGET] then return 0 end
replace(ARGV[1], found, nil)
return remember(1)
