-- Refuses to export a queue that is not sealed.
if redis.call('HGET', KEYS[1], 'seal') ~= 'leaving' then return 'changed' end
