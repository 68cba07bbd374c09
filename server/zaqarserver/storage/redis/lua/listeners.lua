-- Shared by the scripts of subscriptions: the keys, and how deliveries are stored.
-- A post stores one notice with a number. The number of the last notice that a subscription has
-- finished is its score in IDLE while it waits for the next notice, and in BUSY while it has a
-- delivery; the progress of the delivery is in STATE, and its next time in DUE. So a post costs the
-- same for any number of subscriptions, and only one delivery of a subscription is taken at a time.
-- A notice is removed when all subscriptions have finished it, or when its messages have expired.
-- with: sizes

local AT = #KEYS > 14 and 13 or 1
local SUB, SUB_EXPIRY, SUB_VOLATILE, NOTICES, RECORDS, ORDER, URIS, IDLE, BUSY, DUE, STATE =
  unpack(KEYS, AT + 1, AT + 11)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack

-- The members of a packed subscription, of the state of a delivery (without a count if it came from
-- another store).
local S_URI, S_TTL, S_CREATED, S_EXPIRES, S_OPTIONS, S_CONFIRMED, S_OWNER = 1, 2, 3, 4, 5, 6, 7
local D_NUMBER, D_POSITION, D_ATTEMPT, D_COUNT = 1, 2, 3, 4
local M_EXPIRES = 4 -- of a message in the header of a notice

-- Returns how many messages a notice has; without end if it has expired, since nothing finishes it.
local function count_of(number)
  local frame = call('HGET', NOTICES, number)
  return frame and struct.unpack('>I4', frame) or math.huge
end
