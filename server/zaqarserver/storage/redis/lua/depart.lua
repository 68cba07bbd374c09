-- Reads a sealed queue's metadata.
-- script: repeatable, unconfirmed
-- with: leaving, queue
-- Returns the metadata or an empty text.
return call('HGET', HEAD, 'metadata') or ''
