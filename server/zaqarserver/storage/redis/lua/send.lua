-- Sending messages to other queues.
-- with: queue, drop, promise

-- Makes sure that the sweeper finds messages that are on their way if the server dies; returns a reply if
-- that has to be prepared first.
local function promise_to_send(now)
  local due, epoch = unpack(call('HMGET', HEAD, 'due', 'epoch'))
  local wait = not promised(due, now) and unprepared(epoch or '', 'd', now)
  if wait then return wait end
  if not promised(due, now) then call('HSET', HEAD, 'due', ARGV[1]) end
  call('HSET', HEAD, 'sent', ARGV[1])
end

-- Sends a message as it is to be in the other queue. The token is different each time that it is sent.
local function send(id, message, moved, target, token)
  local body = call('HGET', BODY, id)
  drop({ id }, { message })
  message[CLAIM] = ''
  call('HSET', OUT, id, pack(moved), 'b' .. id, body, 't' .. id, target, 'k' .. id, token, 'o' .. id, pack(message))
end

-- Returns a message as it is in another queue.
local function moved_message(message, expires, ttl, visible, notes)
  return {
    message[CREATED], expires, ttl, visible, 0, '', message[CLIENT], message[CHECKSUM], notes, visible > 0,
  }
end

-- Sends a message to a dead letter queue.
local function bury(id, message, now, source, target, ttl, token)
  local reason = message[NOTES] and message[NOTES].reason
  local origin = { source = source, claims = message[COUNT], at = now, reason = reason or nil }
  local notes = { reason = reason or nil, origin = origin }
  local expires = ttl and now + ttl or message[EXPIRES]
  send(id, message, moved_message(message, expires, ttl or message[TTL], 0, notes), target, token)
end
