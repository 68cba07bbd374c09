-- Schema version 2: subscriptions, and the notices that posts leave for them.

CREATE TABLE subscription (
    seq        INTEGER PRIMARY KEY,     -- order of creation
    secret     INTEGER NOT NULL,        -- the unguessable half of the id
    project    TEXT NOT NULL,
    source     TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    ttl        INTEGER NOT NULL,
    created    REAL NOT NULL,
    expires    REAL NOT NULL,           -- 0: deleted, left to the sweeper
    options    TEXT NOT NULL,           -- JSON object
    confirmed  INTEGER NOT NULL,
    volatile   INTEGER NOT NULL,        -- 1: ends with the process
    due        REAL,                    -- when to look at its oldest delivery; NULL: none
    leased     INTEGER NOT NULL DEFAULT 0  -- 1: the delivery is out, due ends the lease
) STRICT;

CREATE UNIQUE INDEX subscription_subscriber
    ON subscription (project, source, subscriber) WHERE expires > 0;
CREATE INDEX subscription_source ON subscription (project, source);
CREATE INDEX subscription_expiry ON subscription (expires);
CREATE INDEX subscription_due ON subscription (due) WHERE due IS NOT NULL;

CREATE TABLE notice (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    project  TEXT NOT NULL,
    source   TEXT NOT NULL,
    messages BLOB NOT NULL,             -- MessagePack: what is to be told
    count    INTEGER NOT NULL,          -- how many messages those are
    newest   INTEGER NOT NULL,          -- subscriptions above came after the post
    reached  INTEGER,                   -- up to here they have their delivery; NULL: all
    open     INTEGER NOT NULL DEFAULT 0 -- deliveries left
) STRICT;

CREATE INDEX notice_reached ON notice (id) WHERE reached IS NOT NULL;

CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    notice       INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    position     INTEGER NOT NULL DEFAULT 0,
    attempt      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX delivery_subscription ON delivery (subscription);
