-- Schema version 7: the notices of a queue are a log, and each subscription has a cursor in it.
--
-- Notices get numbers, one after the other in each queue. A subscription begins with its first
-- pending delivery, or with the first notice that was not spread to it yet; it gets all later ones,
-- as before.

CREATE TABLE numbered (
    id      INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    source  TEXT NOT NULL,
    number  INTEGER NOT NULL,
    after   INTEGER,            -- the subscription it was spread to last; NULL: all
    newest  INTEGER NOT NULL
) STRICT;

INSERT INTO numbered
SELECT id, project, source, row_number() OVER (PARTITION BY project, source ORDER BY id),
       iif(reached < 0, -1 - reached, reached), newest
  FROM notice;

CREATE INDEX numbered_source ON numbered (project, source, number);
CREATE INDEX numbered_after ON numbered (project, source, number) WHERE after IS NOT NULL;

DELETE FROM subscription WHERE expires = 0;

ALTER TABLE subscription ADD COLUMN cursor INTEGER NOT NULL DEFAULT 0;   -- the last notice it has finished
ALTER TABLE subscription ADD COLUMN position INTEGER NOT NULL DEFAULT 0; -- settled messages of the next one
ALTER TABLE subscription ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;  -- failures of the message there

UPDATE subscription AS s
   SET cursor = coalesce(
       (SELECT min(number) - 1
          FROM (SELECT n.number FROM delivery d JOIN numbered n ON n.id = d.notice
                 WHERE d.subscription = s.seq
                 UNION ALL
                SELECT n.number FROM numbered n
                 WHERE n.project = s.project AND n.source = s.source
                   AND n.after IS NOT NULL AND n.after < s.seq AND s.seq <= n.newest)),
       (SELECT max(n.number) FROM numbered n
         WHERE n.project = s.project AND n.source = s.source),
       0);

UPDATE subscription AS s
   SET position = d.position, attempt = d.attempt
  FROM delivery d JOIN numbered n ON n.id = d.notice
 WHERE d.subscription = s.seq AND n.number = s.cursor + 1;

ALTER TABLE notice RENAME TO old_notice;

CREATE TABLE notice (
    project  TEXT NOT NULL,
    source   TEXT NOT NULL,
    number   INTEGER NOT NULL,          -- rises by one with each notice of the queue
    count    INTEGER NOT NULL,          -- how many messages it is about
    expires  REAL,                      -- when the last of them expires; NULL: not known
    messages BLOB NOT NULL,             -- MessagePack: what is to be told
    PRIMARY KEY (project, source, number)
) STRICT, WITHOUT ROWID;

INSERT INTO notice
SELECT n.project, n.source, n.number, o.count, NULL, o.messages
  FROM numbered n JOIN old_notice o ON o.id = n.id
 ORDER BY n.project, n.source, n.number;

DROP TABLE old_notice;
DROP TABLE delivery;
DROP TABLE numbered;

DROP INDEX subscription_subscriber;
CREATE UNIQUE INDEX subscription_subscriber ON subscription (project, source, subscriber);

-- Those that wait for the next notice, and those with a delivery: out, or waiting for a retry.
CREATE INDEX subscription_idle ON subscription (project, source, cursor)
 WHERE due IS NULL AND volatile = 0;
CREATE INDEX subscription_busy ON subscription (project, source, cursor)
 WHERE due IS NOT NULL AND volatile = 0;

-- Notices that arrive are recognized by their numbers.
DROP TABLE arrival;
