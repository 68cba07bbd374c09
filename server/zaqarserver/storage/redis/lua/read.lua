-- Reading messages.
-- with: queue

local function read(id)
  local raw = call('HGET', META, id)
  return raw and unpacked(raw)
end

local function get_all(key, ids)
  local found = {}
  for first = 1, #ids, STEP do
    local values = call('HMGET', key, unpack(ids, first, math.min(first + STEP - 1, #ids)))
    for _, value in ipairs(values) do found[#found + 1] = value end
  end
  return found
end
