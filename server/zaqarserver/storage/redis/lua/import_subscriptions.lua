-- Stores subscriptions of an arriving queue. Until a notice for it arrives, a subscription is in
-- IDLE after all notices.
-- script: repeatable
-- with: arriving, listeners
-- ARGV: epoch of the placement, then for each: id, packed, when its delivery is due or an empty text
local last = tonumber(call('HGET', SUB, 'last') or 0)
for at = 2, #ARGV, 3 do
  local id, raw, due = unpack(ARGV, at, at + 2)
  if call('HSETNX', RECORDS, id, raw) == 1 then
    local record = unpacked(raw)
    call('HSET', URIS, record[S_URI], id)
    call('ZADD', ORDER, 0, id)
    if record[S_OWNER] == '' then
      call('ZADD', SUB_EXPIRY, record[S_EXPIRES], id)
      call('ZADD', IDLE, '+inf', id)
      if due ~= '' then call('ZADD', DUE, due, id) end
    else
      call('ZADD', SUB_VOLATILE, record[S_EXPIRES], id)
    end
    last = math.max(last, tonumber(id:sub(1, 14), 16))
  end
end
call('HSET', SUB, 'last', last)
return 1
