-- Removes and returns the oldest messages that can be claimed.
-- script: once
-- with: served, elapse, oldest, drop
-- ARGV: now, limit, 1 with delayed ones
-- Returns ids, messages, bodies, and the volume.
local now = tonumber(ARGV[1])
if not elapse(now) then return AGAIN end
local ids, messages, early = oldest_free(now, tonumber(ARGV[2]), ARGV[3] == '1')
if early and #ids == 0 then return AGAIN end
if #ids == 0 then return remember_nothing({ {}, {}, {}, {} }) end
local raws, bodies = raws_of(messages), get_all(BODY, ids)
drop(ids, messages)
return remember({ ids, raws, bodies, volume })
