-- Schema version 4: the catalogue of pools, and queues that move between stores.

CREATE TABLE catalog (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,  -- changes with each change of a pool or flavor
    epoch    INTEGER NOT NULL   -- the last one given to a placement
) STRICT;

INSERT INTO catalog (one, revision, epoch) VALUES (1, 1, 0);

CREATE TABLE pool (
    name     TEXT PRIMARY KEY,
    uri      TEXT NOT NULL UNIQUE,
    weight   INTEGER NOT NULL,
    flavor   TEXT,
    options  TEXT NOT NULL,     -- JSON object
    revision INTEGER NOT NULL   -- the catalogue's when uri or options last changed
) STRICT, WITHOUT ROWID;

CREATE TABLE flavor (
    project TEXT NOT NULL,
    name    TEXT NOT NULL,
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX flavor_name ON flavor (name);

CREATE TABLE placement (
    project TEXT NOT NULL,
    queue   TEXT NOT NULL,
    pool    TEXT NOT NULL,      -- empty: this store
    epoch   INTEGER NOT NULL,
    since   INTEGER NOT NULL,   -- the epoch with which it came to the pool
    target  TEXT,               -- NULL: it is not being moved
    lease   REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (project, queue)
) STRICT, WITHOUT ROWID;

CREATE INDEX placement_pool ON placement (pool, project, queue);
CREATE INDEX placement_target ON placement (target) WHERE target IS NOT NULL;
CREATE INDEX placement_lease ON placement (lease) WHERE target IS NOT NULL;

-- How many placements name a pool, as their pool or as their target.
CREATE TABLE placed (
    pool    TEXT NOT NULL,
    project TEXT NOT NULL,
    queues  INTEGER NOT NULL,
    PRIMARY KEY (pool, project)
) STRICT, WITHOUT ROWID;

CREATE INDEX placed_project ON placed (project);

-- A queue that came from another store keeps the ids that clients know. Their
-- numbers may be taken here, so the rows get numbers of this store, in the same
-- order, and the alias is what the id says. NULL: the number itself.
ALTER TABLE message ADD COLUMN alias INTEGER;
ALTER TABLE claim ADD COLUMN alias INTEGER;
ALTER TABLE subscription ADD COLUMN alias INTEGER;
ALTER TABLE subscription ADD COLUMN parked REAL;  -- the due of one whose queue is sealed

CREATE INDEX message_alias ON message (backlog, alias) WHERE alias IS NOT NULL;
CREATE INDEX claim_alias ON claim (backlog, alias) WHERE alias IS NOT NULL;
CREATE INDEX subscription_alias
    ON subscription (project, source, alias) WHERE alias IS NOT NULL;

-- The notices of a sealed queue are not spread: their reached is -1 - reached.
DROP INDEX notice_reached;
CREATE INDEX notice_reached ON notice (id) WHERE reached >= 0;
CREATE INDEX notice_sealed ON notice (project, source) WHERE reached < 0;

CREATE TABLE seal (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    queue   TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    kind    TEXT NOT NULL,      -- leaving, arriving, gone
    backlog INTEGER,            -- arriving: where its messages are gathered
    until   REAL,               -- gone: when this can be forgotten
    UNIQUE (project, queue)
) STRICT;

CREATE INDEX seal_until ON seal (until) WHERE until IS NOT NULL;

-- What arrives with a queue and is put in its place when the queue is opened.
CREATE TABLE arrival (
    number INTEGER PRIMARY KEY, -- order of arrival
    seal   INTEGER NOT NULL,
    id     TEXT NOT NULL,
    record BLOB NOT NULL,       -- MessagePack
    UNIQUE (seal, id)
) STRICT;
