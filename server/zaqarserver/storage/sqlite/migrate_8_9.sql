-- Schema version 9: messages that consumers return.
--
-- A message that was released with a delay has the state 3 until its time; claims never take it,
-- also those that take delayed ones.

ALTER TABLE message ADD COLUMN notes TEXT;  -- JSON: why it was returned, and from where it came

CREATE INDEX message_postponed ON message (backlog, visible) WHERE state = 3;
