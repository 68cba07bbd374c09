-- Counts messages and finds the oldest and the newest.
-- script: repeatable, unconfirmed
-- with: served, elapse, walk, leave
-- ARGV: now
-- Returns how many are free and claimed, then id and creation of the oldest and the newest.
local now = tonumber(ARGV[1])
if not elapse(now) then return AGAIN end

-- Expired messages at the ends leave the sets, so that each is read only once.
local function end_of(backwards)
  local following, dead, found, message = walk({ FREE, HIDDEN, POSTPONED, HELD }, nil, 10, backwards), {}, nil, nil
  repeat
    if found then dead[#dead + 1] = found end
    found = following()
    message = found and read(found)
  until not found or (message and message[EXPIRES] > now) or #dead == ROOM
  leave(dead, true)
  return found, message, #dead == ROOM
end

local oldest, first, early = end_of(false)
if early then return AGAIN end
if not oldest then return { 0, 0 } end
local newest, last, late = end_of(true)
if late then return AGAIN end
local held = call('ZCARD', HELD)
local live = call('ZCARD', EXPIRY) - call('ZCOUNT', EXPIRY, '-inf', now)
return {
  live - held, held,
  oldest, string.format('%.17g', first[CREATED]),
  newest, string.format('%.17g', last[CREATED]),
}
