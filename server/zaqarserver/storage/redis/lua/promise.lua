-- Entries that must be in other slots before a script may change something here.
-- A script that needs an entry and does not know that it is there changes nothing and replies
-- 'prepare', the epoch of the queue, letters for the entries, and a time. Its caller writes the
-- entries, and calls again with the epoch and the letters. Whatever may remove an entry raises the
-- epoch first, so that the script asks once more. So at any moment, whichever process dies, the
-- other slots may name a queue that is not here, but never lack one that is.
--
--   q  the name of the queue in the list of its project
--   d  the queue in the list of those to be swept, at the time or earlier
--   n  the queue in the list of those with deliveries, at the time or earlier
--   s  the queue in the list of those that leave or arrive

local PREPARED_EPOCH, PREPARED = ARGV[2], ARGV[3]

local function unprepared(epoch, needs, due)
  if needs == '' then return nil end
  local covered = PREPARED_EPOCH == epoch
  for letter in needs:gmatch('.') do
    covered = covered and PREPARED:find(letter, 1, true)
  end
  if not covered then return { 'prepare', epoch, needs, string.format('%.17g', due) } end
end

-- Returns true if a time that is stored in a hash promises an entry at `due` or earlier.
local function promised(time, due)
  return time and tonumber(time) <= due
end

-- Raises the epoch, and an existing promise to `due`; nil ends the promise: then the next script
-- that needs one asks for it.
local function raise_promise(hash, field, due)
  redis.call('HINCRBY', KEYS[1], 'epoch', 1)
  if not due then
    redis.call('HDEL', hash, field)
  elseif promised(redis.call('HGET', hash, field), due) then
    redis.call('HSET', hash, field, string.format('%.17g', due))
  end
end
