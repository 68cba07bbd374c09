-- The time of the next delivery.
-- with: listeners

-- Returns when the next delivery is due, 0 for at once, nil for never.
local function next_delivery()
  local newest, idle = call('HGET', SUB, 'newest'), call('ZRANGE', IDLE, 0, 0, 'WITHSCORES')
  if newest and idle[2] and tonumber(idle[2]) < tonumber(newest) then return 0 end
  local due = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  return due[2] and tonumber(due[2])
end
