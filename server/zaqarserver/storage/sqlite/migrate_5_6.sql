-- Schema version 6: all that arrives with a queue is stored under the name of its seal, the
-- queue itself as well.

INSERT INTO queue (project, name, backlog, revision, metadata)
SELECT char(0) || 'arriving', CAST(seal.id AS TEXT), seal.backlog, seal.id,
       metadata_of(arrival.record)
  FROM seal JOIN arrival ON arrival.seal = seal.id AND arrival.id = 'queue';

UPDATE backlog SET dead = 1, due = 0
 WHERE id IN (SELECT backlog FROM seal WHERE kind = 'arriving')
   AND id NOT IN (SELECT backlog FROM queue);

DELETE FROM arrival WHERE length(record) > 0;

ALTER TABLE seal DROP COLUMN backlog;
