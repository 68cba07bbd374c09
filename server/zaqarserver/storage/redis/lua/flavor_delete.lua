-- Takes a flavor from a project; its pools lose it when the last project has lost it.
-- script: repeatable
-- with: catalog
-- ARGV: project and flavor, flavor
local flavor = ARGV[2]
if call('ZREM', FLAVORS, ARGV[1]) == 0 then return 0 end
if call('HINCRBY', NAMED, flavor, -1) <= 0 then
  call('HDEL', NAMED, flavor)
  local pools = call('HGETALL', POOLS)
  for i = 1, #pools, 2 do
    local pool = unpacked(pools[i + 1])
    if pool[P_FLAVOR] == flavor then
      pool[P_FLAVOR] = false
      call('HSET', POOLS, pools[i], pack(pool))
    end
  end
end
next_revision()
return 1
