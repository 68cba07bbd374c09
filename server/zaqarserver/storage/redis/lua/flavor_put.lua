-- Gives a project a flavor of exactly these pools; returns the name of one that does not exist.
-- script: repeatable
-- with: catalog
-- ARGV: project and flavor, flavor, pools
local flavor, chosen = ARGV[2], {}
for i = 3, #ARGV do
  if call('HEXISTS', POOLS, ARGV[i]) == 0 then return ARGV[i] end
  chosen[ARGV[i]] = true
end
local pools = call('HGETALL', POOLS)
for i = 1, #pools, 2 do
  local pool = unpacked(pools[i + 1])
  if chosen[pools[i]] or pool[P_FLAVOR] == flavor then
    pool[P_FLAVOR] = chosen[pools[i]] and flavor or false
    call('HSET', POOLS, pools[i], pack(pool))
  end
end
if call('ZADD', FLAVORS, 0, ARGV[1]) == 1 then call('HINCRBY', NAMED, flavor, 1) end
next_revision()
return false
