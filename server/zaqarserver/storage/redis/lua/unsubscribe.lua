-- Removes a subscription with its deliveries; returns the server that had its connection.
-- with: listeners
-- ARGV: id
local raw = call('HGET', RECORDS, ARGV[1])
forget(ARGV[1])
dispose()
return raw and unpacked(raw)[S_OWNER] or ''
