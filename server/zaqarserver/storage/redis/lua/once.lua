-- Recognizes a request that is sent again: the second run changes nothing and has the reply of the
-- first.
-- Each request has a key that is unique among the requests under way, and a number that rises. The
-- key stores the number and the reply of the last request that had it. The same number is the same
-- request; a lower number comes so late that nothing waits for its reply any more.
-- KEYS, at the end: the request's key; the script that follows does not see it
-- ARGV, at the end: its number, 16 digits; a minus sign, or a plus sign if it may have come before;
--   and for how many seconds it is remembered
local ASKED, NUMBER, REMEMBERED = table.remove(KEYS), ARGV[#ARGV]:sub(1, 16), ARGV[#ARGV]:sub(18)
local KEPT = redis.call('GET', ASKED)
if KEPT and KEPT:sub(1, 16) >= NUMBER then
  -- This write is a change: when replicas have confirmed it, they have confirmed the first run,
  -- too.
  redis.call('EXPIRE', ASKED, REMEMBERED)
  return cmsgpack.unpack(KEPT:sub(17))
end

-- Stores the reply, and returns it.
local function remember(answer)
  redis.call('SET', ASKED, NUMBER .. cmsgpack.pack(answer), 'EX', REMEMBERED)
  return answer
end

-- The same if there was nothing to do: the first request may still be on its way.
local function remember_nothing(answer)
  return ARGV[#ARGV]:byte(17) == 43 and remember(answer) or answer
end
