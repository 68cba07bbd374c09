-- Finds live messages by id.
-- script: repeatable, unconfirmed
-- with: served, lives, read
-- ARGV: now, ids
-- Returns ids, messages, bodies.
local now, ids, raws = tonumber(ARGV[1]), {}, {}
for i = 2, #ARGV do
  local raw = call('HGET', META, ARGV[i])
  local message = raw and unpacked(raw)
  if message and message[EXPIRES] > now then
    if message[CLAIM] ~= '' and not lives(message[CLAIM], now) then
      message[CLAIM] = ''
      raw = pack(message)
    end
    ids[#ids + 1] = ARGV[i]
    raws[#raws + 1] = raw
  end
end
return { ids, raws, get_all(BODY, ids) }
