-- What the scripts of subscriptions share: the keys, and how deliveries are kept.
--
-- A post leaves one notice, numbered. Each subscription keeps the number of the last notice
-- that it is done with: as its score in IDLE while it waits for the next one, in BUSY while it
-- has a delivery, whose progress is in STATE and whose next time is in DUE. So a post costs the
-- same however many listen, and of one subscription only one delivery can be out. A notice is
-- removed when all are done with it.
-- with: sizes

local AT = #KEYS > 13 and 12 or 1
local SUB, SUB_EXPIRY, SUB_VOLATILE, NOTICES, RECORDS, ORDER, URIS, IDLE, BUSY, DUE, STATE =
  unpack(KEYS, AT + 1, AT + 11)
local call, pack, unpacked = redis.call, cmsgpack.pack, cmsgpack.unpack

-- The members of a packed subscription, and of the state of a delivery.
local S_URI, S_TTL, S_CREATED, S_EXPIRES, S_OPTIONS, S_CONFIRMED, S_OWNER = 1, 2, 3, 4, 5, 6, 7
local D_NUMBER, D_POSITION, D_ATTEMPT, D_COUNT = 1, 2, 3, 4
