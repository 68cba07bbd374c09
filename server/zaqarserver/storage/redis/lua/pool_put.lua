-- Makes a pool or replaces it; returns the name of another one that has the URI, if any.
-- script: repeatable
-- with: catalog
-- ARGV: name, URI, weight, flavor or an empty text, options
local name, uri, options = ARGV[1], ARGV[2], ARGV[5]
local pools = call('HGETALL', POOLS)
for i = 1, #pools, 2 do
  if pools[i] ~= name and unpacked(pools[i + 1])[P_URI] == uri then return pools[i] end
end
local raw, revision = call('HGET', POOLS, name), next_revision()
local old = raw and unpacked(raw)
if old and old[P_URI] == uri and old[P_OPTIONS] == options then revision = old[P_REVISION] end
local flavor = ARGV[4] ~= '' and ARGV[4]
call('HSET', POOLS, name, pack({ uri, tonumber(ARGV[3]), flavor, options, revision }))
return false
