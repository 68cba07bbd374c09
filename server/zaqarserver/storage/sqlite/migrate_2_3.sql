-- Schema version 3: signed URLs on record, and how many bytes a backlog holds.
--
-- What each project keeps in all is counted from the backlogs when the store is
-- opened, and followed in memory from then on.

ALTER TABLE backlog ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE backlog ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;  -- of bodies, in all rows

UPDATE backlog SET project = queue.project FROM queue WHERE queue.backlog = backlog.id;
UPDATE backlog SET bytes = held.bytes
  FROM (SELECT backlog, sum(length(body)) AS bytes FROM message GROUP BY backlog) AS held
 WHERE held.backlog = backlog.id;

DROP TABLE project;

CREATE TABLE signed_url (
    number  INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    queue   TEXT NOT NULL,
    id      TEXT NOT NULL,
    paths   TEXT NOT NULL,              -- JSON array
    methods TEXT NOT NULL,              -- JSON array
    created REAL NOT NULL,
    expires REAL NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX signed_url_id ON signed_url (project, queue, id);
CREATE INDEX signed_url_expiry ON signed_url (expires);
