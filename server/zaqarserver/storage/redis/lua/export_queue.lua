-- Reads a leaving queue's metadata.
-- script: repeatable, unconfirmed
-- with: leaving, queue
-- Returns an empty text, and a list of the metadata.
return { '', call('HMGET', HEAD, 'metadata') }
