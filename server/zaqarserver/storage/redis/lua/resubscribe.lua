-- Changes a live subscription.
-- script: once
-- with: served, promise, endings
-- ARGV: now, epoch, prepared, id, what is given (u, t, o, c), subscriber, ttl, options, confirmed
-- Returns the packed members now, and the volume of subscriptions; 0 if the subscription does not
-- exist, 1 if another one has the subscriber.
local HEAD, now, id, given = KEYS[1], tonumber(ARGV[1]), ARGV[4], ARGV[5]
local raw = call('HGET', RECORDS, id)
local record = raw and unpacked(raw)
if not record or record[S_EXPIRES] <= now then return 0 end
local moves = given:find('u', 1, true) and ARGV[6] ~= record[S_URI]
local other = moves and call('HGET', URIS, ARGV[6])
if other and unpacked(call('HGET', RECORDS, other))[S_EXPIRES] > now then return 1 end

if given:find('t', 1, true) then
  record[S_TTL], record[S_EXPIRES] = tonumber(ARGV[7]), now + tonumber(ARGV[7])
  local due, epoch = unpack(call('HMGET', HEAD, 'due', 'epoch'))
  if not promised(due, record[S_EXPIRES]) then
    local wait = unprepared(epoch or '', 'd', record[S_EXPIRES])
    if wait then return wait end
    call('HSET', HEAD, 'due', string.format('%.17g', record[S_EXPIRES]))
  end
end
if given:find('o', 1, true) then record[S_OPTIONS] = ARGV[8] end
if given:find('c', 1, true) then record[S_CONFIRMED] = ARGV[9] == '1' end
if moves then
  if other then forget(other) end
  call('HDEL', URIS, record[S_URI])
  call('HSET', URIS, ARGV[6], id)
  record[S_URI] = ARGV[6]
  if record[S_OWNER] ~= '' then
    record[S_OWNER] = ''
    call('ZREM', SUB_VOLATILE, id)
    catch_up(id)
  end
end
call('ZADD', record[S_OWNER] == '' and SUB_EXPIRY or SUB_VOLATILE, record[S_EXPIRES], id)
call('HSET', RECORDS, id, pack(record))
return remember({ pack(record), subscribed() })
