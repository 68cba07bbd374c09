-- Begins a move, takes it over, or gives it up; returns the new placement, or nothing.
-- script: once
-- with: catalog
-- ARGV: project and queue, epoch, lease, target (empty: none)
local found, target = placement_of(ARGV[1], ARGV[2]), ARGV[4]
if not found then return false end
if target ~= '' and call('HEXISTS', POOLS, target) == 0 then return false end
local lease = target ~= '' and tonumber(ARGV[3]) or 0
local placement = { found[L_POOL], next_epoch(), found[L_SINCE], target ~= '' and target, lease }
replace(ARGV[1], found, placement)
return remember(shown(pack(placement)))
