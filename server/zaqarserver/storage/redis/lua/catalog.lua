-- Shared by the scripts of the catalogue: the keys, and how placements are stored.
-- Names are joined by two NULs, which a name cannot contain in a row. So members sort by project,
-- then by queue, even if a project's name ends in a NUL and more.
local HEAD, POOLS, FLAVORS, NAMED, PLACED, AT, TOWARDS, MOVES = unpack(KEYS, 1, 8)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack
local JOINT, AFTER = '\0\0', '\0\1'

-- The members of a packed pool, and of a packed placement.
local P_URI, P_WEIGHT, P_FLAVOR, P_OPTIONS, P_REVISION = 1, 2, 3, 4, 5
local L_POOL, L_EPOCH, L_SINCE, L_TARGET, L_LEASE = 1, 2, 3, 4, 5

local function next_epoch() return call('HINCRBY', HEAD, 'epoch', 1) end
local function next_revision() return call('HINCRBY', HEAD, 'revision', 1) end

-- Returns the stored placement, if it has the epoch that the caller has read.
local function placement_of(place, epoch)
  local raw = call('HGET', PLACED, place)
  local found = raw and unpacked(raw)
  return found and found[L_EPOCH] == tonumber(epoch) and found or nil
end

-- Replaces a placement by another one; either may be nil. Begins with removals, which Redis allows
-- when memory is short.
local function replace(place, old, new)
  if old then
    call('ZREM', AT, old[L_POOL] .. JOINT .. place)
    if old[L_TARGET] then
      call('ZREM', TOWARDS, old[L_TARGET] .. JOINT .. place)
      call('ZREM', MOVES, place)
    end
  end
  if not new then
    call('HDEL', PLACED, place)
    return
  end
  call('ZADD', AT, 0, new[L_POOL] .. JOINT .. place)
  if new[L_TARGET] then
    call('ZADD', TOWARDS, 0, new[L_TARGET] .. JOINT .. place)
    call('ZADD', MOVES, new[L_LEASE], place)
  end
  call('HSET', PLACED, place, pack(new))
end

-- Returns a packed placement, and the revision of its pool.
local function shown(raw)
  local pool = call('HGET', POOLS, unpacked(raw)[L_POOL])
  return { raw, pool and unpacked(pool)[P_REVISION] or 0 }
end

local function count_in(set, pool)
  return call('ZLEXCOUNT', set, '[' .. pool .. JOINT, '(' .. pool .. AFTER)
end
