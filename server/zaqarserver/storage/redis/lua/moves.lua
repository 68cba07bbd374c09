-- Reads messages that are on their way to another queue.
-- script: repeatable, unconfirmed
-- with: sizes
-- ARGV: at most how many
-- Returns ids, tokens, messages, bodies, and the queues that they are for.
local OUT = KEYS[11]
local ids = {}
local cursor = '0'
repeat
  local page
  cursor, page = unpack(redis.call('HSCAN', OUT, cursor, 'COUNT', PAGE))
  for i = 1, #page, 2 do
    if #page[i] == 30 then ids[#ids + 1] = page[i] end
  end
until cursor == '0' or #ids >= tonumber(ARGV[1])
table.sort(ids)
local tokens, packed, bodies, targets = {}, {}, {}, {}
for i, id in ipairs(ids) do
  tokens[i] = redis.call('HGET', OUT, 'k' .. id) or ''
  packed[i] = redis.call('HGET', OUT, id)
  bodies[i] = redis.call('HGET', OUT, 'b' .. id)
  targets[i] = redis.call('HGET', OUT, 't' .. id)
end
return { ids, tokens, packed, bodies, targets }
