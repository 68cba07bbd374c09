-- Sets the lease of a move of this epoch; 0 if it does not exist.
-- script: repeatable
-- with: catalog
-- ARGV: project and queue, epoch, lease
local found = placement_of(ARGV[1], ARGV[2])
if not found or not found[L_TARGET] then return 0 end
replace(ARGV[1], found, {
  found[L_POOL], found[L_EPOCH], found[L_SINCE], found[L_TARGET], tonumber(ARGV[3]),
})
return 1
