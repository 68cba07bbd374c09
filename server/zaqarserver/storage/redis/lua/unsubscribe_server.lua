-- Removes the volatile subscriptions of a server that has ended; returns the volume of
-- subscriptions.
-- script: repeatable
-- with: endings
-- ARGV: the server
for _, id in ipairs(call('ZRANGE', SUB_VOLATILE, 0, -1)) do
  if unpacked(call('HGET', RECORDS, id))[S_OWNER] == ARGV[1] then forget(id) end
end
return subscribed()
