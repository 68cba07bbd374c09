-- Shared by the scripts of queues: the keys, and commands for many members.
-- A message is in FREE, in HIDDEN or POSTPONED (and in LATE, by time), in HELD, or in none of them once
-- a script found that it has expired; META, BODY and EXPIRY have all messages. The sets are as of
-- the last call of elapse(); nothing else moves messages because of the time. Redis' own clock is
-- never read: `now` is an argument of each script.
-- When Redis is out of memory, it refuses a script at the first command that may need more, but not
-- one that has already changed something. Scripts that free memory, and claims, therefore begin
-- with a removal; scripts that grow begin with a command that is refused, not with PERSIST or
-- EXPIRE.
--
-- A script pays for each function that it includes, used or not: they are in small files.
-- with: sizes

local HEAD, META, BODY, FREE, HIDDEN, LATE, HELD, EXPIRY, CLAIMS, ENDS, OUT, IN, POSTPONED =
  unpack(KEYS, 1, 13)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack

-- The members of a packed message.
-- Older ones end before the notes. Those that are hidden are in POSTPONED if LATER is true.
local CREATED, EXPIRES, TTL, VISIBLE, COUNT, CLAIM, CLIENT, CHECKSUM, NOTES, LATER =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10
-- The members of a packed claim.
local C_TTL, C_GRACE, C_CREATED, C_EXPIRES, C_IDS = 1, 2, 3, 4, 5

local AGAIN = 'again' -- the answer of a script that has to be called again

-- Runs a command with all values, a bounded number at a time; their order stays.
local function each(command, key, values)
  for first = 1, #values, STEP do
    call(command, key, unpack(values, first, math.min(first + STEP - 1, #values)))
  end
end

-- Adds ids to a set that is ordered by id: all have the score 0.
local function add_all(key, ids)
  local members = {}
  for i, id in ipairs(ids) do
    members[i * 2 - 1], members[i * 2] = 0, id
  end
  each('ZADD', key, members)
end
