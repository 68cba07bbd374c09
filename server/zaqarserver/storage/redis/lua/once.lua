-- Recognizes a request that is sent again: it changes nothing the second time, and has the reply of
-- the first.
--
-- Each request has a key that no other one has at the same time, and a number that rises. The key
-- keeps the number of the last request that had it, and its reply. The same number is the same
-- request; a lower one comes so late that nothing waits for it any more.
-- KEYS, at the end: the request's key; what follows does not see it
-- ARGV, at the end: its number, 16 digits; a minus sign, or a plus sign if it may have come before;
--   and for how many seconds it is remembered
local ASKED, NUMBER, REMEMBERED = table.remove(KEYS), ARGV[#ARGV]:sub(1, 16), ARGV[#ARGV]:sub(18)
local KEPT = redis.call('GET', ASKED)
if KEPT and KEPT:sub(1, 16) >= NUMBER then
  -- This is a change: replicas that have to confirm it have confirmed the first one with it.
  redis.call('EXPIRE', ASKED, REMEMBERED)
  return cmsgpack.unpack(KEPT:sub(17))
end

-- Keeps the reply, and returns it.
local function remember(answer)
  redis.call('SET', ASKED, NUMBER .. cmsgpack.pack(answer), 'EX', REMEMBERED)
  return answer
end

-- The same if there was nothing to do: it may be that the first one has not come yet.
local function remember_nothing(answer)
  return ARGV[#ARGV]:byte(17) == 43 and remember(answer) or answer
end
