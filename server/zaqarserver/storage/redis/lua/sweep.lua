-- Removes some dead rows; returns the time of the next visit. Arriving queues are left alone.
-- script: once, unconfirmed
-- with: promise, read, drop, endings, grants, keys
-- ARGV: now, the time for grants, (none), at most how many rows
-- Returns how many rows were removed, the next time or an empty text, 1 if the queue exists, 1 if
-- messages are on their way to a dead letter queue, the volume, and that of subscriptions.
local now, wall, room, due = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), math.huge
local exists, seal, remembered = unpack(call('HMGET', HEAD, 'rev', 'seal', 'until'))
if seal == 'gone' then
  if tonumber(remembered) > now then
    due = tonumber(remembered)
  else
    call('HDEL', HEAD, 'seal', 'until')
    seal = false
  end
end

local times, removed, listeners = { [GRANT_EXPIRY] = now - wall, [IN] = 3600 }, 0, {}
if seal ~= 'arriving' then
  local ids, messages = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, room), {}
  for i, id in ipairs(ids) do messages[i] = read(id) end
  drop(ids, messages)
  removed = #ids + sweep_listeners(now, room - #ids)
  -- The export of a queue that leaves goes by their order.
  if not seal then removed = removed + sweep_keys(now, room - removed) end
  count(0, 0)
  listeners = subscribed()
  times[EXPIRY], times[SUB_EXPIRY], times[SUB_VOLATILE], times[POSTS_EXPIRY] = 0, 0, 0, 0
end
removed = removed + sweep_grants(wall, room - removed)
call('ZREMRANGEBYSCORE', IN, '-inf', now - 3600)

for key, delay in pairs(times) do
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] then due = math.min(due, tonumber(first[2]) + delay) end
end
local moving = call('EXISTS', OUT) == 1
if moving then due = math.min(due, now) end
if due > now then
  raise_promise(HEAD, 'due', due < math.huge and due or nil)
  if not exists and not seal and due == math.huge then
    call('EXPIRE', HEAD, 86400)
    call('EXPIRE', SUB, 86400)
  end
elseif not exists then
  call('HINCRBY', HEAD, 'epoch', 1)
end
local answer = {
  removed, due < math.huge and string.format('%.17g', due) or '', exists and 1 or 0, moving and 1 or 0,
  volume, listeners,
}
return removed > 0 and remember(answer) or answer
