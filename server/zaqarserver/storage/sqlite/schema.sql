-- The SQLite store, schema version 1 (PRAGMA user_version).
--
-- Messages belong to a backlog, not to a queue: deleting or purging a queue
-- gives its name a new backlog (or none) and leaves the old one, marked dead,
-- to the sweeper. So both take the same time whatever the queue holds.

CREATE TABLE store (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    reserved INTEGER NOT NULL,  -- no sequence number up to this one is given out after a restart
    pulse    INTEGER NOT NULL   -- written by ping
) STRICT;

INSERT INTO store (one, reserved, pulse) VALUES (1, 0, 0);

CREATE TABLE project (
    name   TEXT PRIMARY KEY,
    queues INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
    project  TEXT NOT NULL,
    name     TEXT NOT NULL,
    backlog  INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    metadata TEXT NOT NULL,     -- JSON object
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE backlog (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given out twice
    messages INTEGER NOT NULL DEFAULT 0,         -- rows, dead ones included
    claimed  INTEGER NOT NULL DEFAULT 0,         -- rows under a claim, expired ones included
    dead     INTEGER NOT NULL DEFAULT 0,         -- 1: its queue is gone or was purged
    due      REAL                                -- nothing in it changes by itself before; NULL: never
) STRICT;

CREATE INDEX backlog_due ON backlog (due) WHERE due IS NOT NULL;

CREATE TABLE message (
    seq      INTEGER PRIMARY KEY,       -- acceptance order over all queues
    backlog  INTEGER NOT NULL,
    state    INTEGER NOT NULL,          -- 0 free, 1 delayed, 2 claimed
    claims   INTEGER NOT NULL,          -- how many claims have taken it
    claim    INTEGER,                   -- claim.seq while state is 2
    secret   INTEGER NOT NULL,          -- the unguessable half of the id
    created  REAL NOT NULL,
    expires  REAL NOT NULL,             -- never before the expiry of its claim
    visible  REAL,                      -- hidden until then; NULL: not delayed, or no longer
    ttl      INTEGER NOT NULL,
    client   TEXT NOT NULL,
    checksum TEXT,
    body     BLOB NOT NULL
) STRICT;

-- A post touches the table and the first two indexes, nothing else. The rowid
-- (seq) is the last column of every index, so each also gives the order.
CREATE INDEX message_state ON message (backlog, state);
CREATE INDEX message_expiry ON message (backlog, expires);
CREATE INDEX message_delayed ON message (backlog, visible) WHERE state = 1;
CREATE INDEX message_claim ON message (claim) WHERE claim IS NOT NULL;

CREATE TABLE claim (
    seq     INTEGER PRIMARY KEY,
    backlog INTEGER NOT NULL,
    secret  INTEGER NOT NULL,
    ttl     INTEGER NOT NULL,
    grace   INTEGER NOT NULL,
    created REAL NOT NULL,              -- or renewed
    expires REAL NOT NULL
) STRICT;

CREATE INDEX claim_expiry ON claim (backlog, expires);
