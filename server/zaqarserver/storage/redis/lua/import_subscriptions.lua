-- Stores subscriptions of an arriving queue.
-- script: repeatable
-- with: arriving, listeners
-- ARGV: epoch of the placement, then for each: id, packed, when its delivery is due or an empty text,
--   the last notice that it has finished, position in the next one, attempt
local last, newest = unpack(call('HMGET', SUB, 'last', 'newest'))
last, newest = tonumber(last or 0), tonumber(newest or 0)
for at = 2, #ARGV, 6 do
  local id, raw, due, cursor = unpack(ARGV, at, at + 3)
  if call('HSETNX', RECORDS, id, raw) == 1 then
    local record = unpacked(raw)
    call('HSET', URIS, record[S_URI], id)
    call('ZADD', ORDER, 0, id)
    if record[S_OWNER] == '' then
      call('ZADD', SUB_EXPIRY, record[S_EXPIRES], id)
      call('ZADD', due == '' and IDLE or BUSY, cursor, id)
      if due ~= '' then
        call('ZADD', DUE, due, id)
        call('HSET', STATE, id, pack({ cursor + 1, tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]) }))
      end
      newest = math.max(newest, tonumber(cursor))
    else
      call('ZADD', SUB_VOLATILE, record[S_EXPIRES], id)
    end
    last = math.max(last, tonumber(id:sub(1, 14), 16))
  end
end
call('HSET', SUB, 'last', last, 'newest', newest)
call('HSETNX', SUB, 'first', newest + 1)
return 1
