-- Lists a page of messages.
-- script: repeatable, unconfirmed
-- with: served, elapse, walk
-- ARGV: now, where to begin, limit, places (f, h, p, c: free, hidden, postponed, claimed), client (absent: any)
-- Returns where to go on, or an empty text at the end; ids, messages, bodies.
local now, limit, client = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[5]
if not elapse(now) then return AGAIN end
local places, sets = { f = FREE, h = HIDDEN, p = POSTPONED, c = HELD }, {}
for letter in ARGV[4]:gmatch('.') do sets[#sets + 1] = places[letter] end
local ids, raws, looked, position = {}, {}, 0, ''
local following = walk(sets, ARGV[2], math.min(limit, ROOM))
while #ids < limit do
  local id = following()
  if not id then break end
  local raw = call('HGET', META, id)
  local message = raw and unpacked(raw)
  if message and message[EXPIRES] > now and message[CLIENT] ~= client then
    ids[#ids + 1] = id
    raws[#raws + 1] = raw
  else
    looked = looked + 1
    if looked == ROOM then
      position = '(' .. id
      break
    end
  end
end
return { position, ids, raws, get_all(BODY, ids) }
