-- Lists flavors of a project.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: where to begin, where to end, limit
-- Returns projects with flavors, and all pools.
return { call('ZRANGEBYLEX', FLAVORS, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3]), call('HGETALL', POOLS) }
