-- Live claims, and their end.
-- with: queue

-- Returns true if a claim is live; a live claim always holds a live message.
local function lives(claim, now)
  local ends = call('ZSCORE', ENDS, claim)
  return ends and tonumber(ends) > now
end

local function end_claim(claim)
  call('HDEL', CLAIMS, claim, 'n' .. claim)
  call('ZREM', ENDS, claim)
end

-- Counts a message that is not under a claim any more; a claim that holds nothing ends.
local function leave_claim(claim)
  if call('HINCRBY', CLAIMS, 'n' .. claim, -1) <= 0 then end_claim(claim) end
end
