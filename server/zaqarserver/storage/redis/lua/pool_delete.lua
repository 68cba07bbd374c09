-- Removes a pool, and with the argument 1 its placements: some at a time; new ones cannot come
-- then.
-- script: repeatable
-- with: sizes, catalog
-- ARGV: name, 1 to forget placements
-- Returns nothing, or the reason: the flavor that it is the last pool of, or the number of queues.
local name = ARGV[1]
local raw = call('HGET', POOLS, name)
if not raw then return false end
local pool = unpacked(raw)

if pool[P_FLAVOR] and call('HEXISTS', NAMED, pool[P_FLAVOR]) == 1 then
  local others = 0
  for _, one in ipairs(call('HVALS', POOLS)) do
    if unpacked(one)[P_FLAVOR] == pool[P_FLAVOR] then others = others + 1 end
  end
  if others == 1 then return pool[P_FLAVOR] end
end

local function count() return count_in(AT, name) + count_in(TOWARDS, name) end
local function some(set)
  local members = call('ZRANGEBYLEX', set, '[' .. name .. JOINT, '(' .. name .. AFTER, 'LIMIT', 0, ROOM)
  local places = {}
  for i, member in ipairs(members) do places[i] = member:sub(#name + #JOINT + 1) end
  return places
end

local queues = count()
if queues > 0 then
  if ARGV[2] ~= '1' then return queues end
  if pool[P_WEIGHT] ~= 0 then
    pool[P_WEIGHT] = 0
    next_revision()
    call('HSET', POOLS, name, pack(pool))
  end
  for _, place in ipairs(some(TOWARDS)) do
    local old = unpacked(call('HGET', PLACED, place))
    replace(place, old, { old[L_POOL], next_epoch(), old[L_SINCE], false, 0 })
  end
  for _, place in ipairs(some(AT)) do
    replace(place, unpacked(call('HGET', PLACED, place)), nil)
  end
  if count() > 0 then return 'again' end
end
call('HDEL', POOLS, name)
next_revision()
return false
