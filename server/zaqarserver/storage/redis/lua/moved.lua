-- Removes messages that have arrived in another queue.
-- script: repeatable
-- ARGV: ids
for _, id in ipairs(ARGV) do redis.call('HDEL', KEYS[11], id, 'b' .. id, 't' .. id, 'k' .. id, 'o' .. id) end
return 1
