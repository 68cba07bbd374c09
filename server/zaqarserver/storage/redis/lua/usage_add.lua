-- Adds up what the queues of a project hold. Each value is a total, not a difference, with the
-- number of its change: late values change nothing, and a lost value is corrected by the next one,
-- at the latest when the sweeper visits the queue.
-- script: repeatable, unconfirmed
-- ARGV: for each: kind (m: messages, s: subscriptions), name, number, count, bytes
-- Begins with a removal, of nothing, so that removals are also counted when memory is short.
local USE = KEYS[1]
redis.call('HDEL', USE, '')

local function add(sum, difference)
  if difference ~= 0 and redis.call('HINCRBY', USE, sum, difference) == 0 then
    redis.call('HDEL', USE, sum)
  end
end

for at = 1, #ARGV, 5 do
  local kind, count, bytes = ARGV[at], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local field, number = kind .. ':' .. ARGV[at + 1], tonumber(ARGV[at + 2])
  local old = redis.call('HGET', USE, field)
  local last, messages, size = 0, 0, 0
  if old then last, messages, size = unpack(cmsgpack.unpack(old)) end
  if number > last then
    add(kind == 'm' and 'messages' or 'subscriptions', count - messages)
    add('bytes', bytes - size)
    if count == 0 and bytes == 0 then
      redis.call('HDEL', USE, field)
    else
      redis.call('HSET', USE, field, cmsgpack.pack({ number, count, bytes }))
    end
  end
end
return 1
