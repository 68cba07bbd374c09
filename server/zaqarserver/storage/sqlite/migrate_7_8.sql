-- Schema version 8: posts with idempotency keys.
--
-- A key belongs to the queue that its post went to, not to a later one of that name: the
-- origin of a queue is its first backlog, whose number is never given out again.

ALTER TABLE queue ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;

UPDATE queue SET origin = backlog;

CREATE TABLE posted (
    origin  INTEGER NOT NULL,
    key     TEXT NOT NULL,
    digest  TEXT NOT NULL,
    ids     TEXT NOT NULL,              -- with blanks between
    expires REAL NOT NULL,
    PRIMARY KEY (origin, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX posted_expiry ON posted (expires);
