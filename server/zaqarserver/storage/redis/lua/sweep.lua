-- Removes some of what is dead, and says when to come again.
-- with: promise, read, drop, endings, grants
-- ARGV: now, (none), (none), at most how many rows
-- Returns how many rows went, the next time or an empty text, 1 if the queue exists, 1 if
-- messages are on their way to a dead letter queue, the volume, and that of subscriptions.
local now, room = tonumber(ARGV[1]), tonumber(ARGV[4])
local ids, messages = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, room), {}
for i, id in ipairs(ids) do messages[i] = read(id) end
drop(ids, messages)
local ended = sweep_listeners(now, room - #ids)
local expired = sweep_grants(now, room - #ids - ended)
call('ZREMRANGEBYSCORE', IN, '-inf', now - 3600)

local due = math.huge
for key, delay in pairs({ [EXPIRY] = 0, [SUB_EXPIRY] = 0, [SUB_VOLATILE] = 0, [GRANT_EXPIRY] = 0, [IN] = 3600 }) do
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] then due = math.min(due, tonumber(first[2]) + delay) end
end
local moving = call('EXISTS', OUT) == 1
if moving then due = math.min(due, now) end
local exists = call('HEXISTS', HEAD, 'rev')
count(0, 0)
local listeners = subscribed()
if due > now then
  raise_promise(HEAD, 'due', due < math.huge and due or nil)
  if exists == 0 and due == math.huge then
    call('EXPIRE', HEAD, 86400)
    call('EXPIRE', SUB, 86400)
  end
end
return {
  #ids + ended + expired, due < math.huge and string.format('%.17g', due) or '', exists, moving and 1 or 0,
  volume, listeners,
}
