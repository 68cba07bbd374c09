-- Reads the placement of a queue and the revision of its pool; or nothing.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: project and queue
local raw = call('HGET', PLACED, ARGV[1])
return raw and shown(raw)
