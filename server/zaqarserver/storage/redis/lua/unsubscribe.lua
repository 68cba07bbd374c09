-- Removes a subscription with its deliveries; returns the server of its connection,
-- and the volume of subscriptions.
-- script: once
-- with: served, endings
-- ARGV: id
local raw = call('HGET', RECORDS, ARGV[1])
forget(ARGV[1])
dispose()
if not raw then return { '', {} } end
return remember({ unpacked(raw)[S_OWNER], subscribed() })
