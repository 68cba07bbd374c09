-- Finds the pools that have queues of a project, or that some are moved to, by checking each pool.
-- script: repeatable, unconfirmed
-- with: catalog
-- ARGV: project
local pools, found = call('HKEYS', POOLS), {}
pools[#pools + 1] = ''
for _, pool in ipairs(pools) do
  local first, last = '[' .. pool .. JOINT .. ARGV[1] .. JOINT, '(' .. pool .. JOINT .. ARGV[1] .. AFTER
  for _, set in ipairs({ AT, TOWARDS }) do
    if found[#found] ~= pool and #call('ZRANGEBYLEX', set, first, last, 'LIMIT', 0, 1) > 0 then
      found[#found + 1] = pool
    end
  end
end
return found
