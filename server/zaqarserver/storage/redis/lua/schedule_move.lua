-- Moves an entry of a schedule to its next time, or removes it, if its score is still the one that was read;
-- an earlier time is set in any case. Returns true if the entry is at that time now. Begins with a
-- removal, since expiry and deliveries free memory.
-- script: repeatable, unconfirmed
-- ARGV: entry, score that was read or an empty text, time or an empty text
local old, read, due = redis.call('ZSCORE', KEYS[1], ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
old = old and tonumber(old)
if old == read or (due and old and due < old) or (due and not old) then
  redis.call('ZREM', KEYS[1], ARGV[1])
  if due then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
  return 1
end
return 0
