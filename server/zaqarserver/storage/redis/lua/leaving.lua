-- Refuses to export a queue that does not leave.
if redis.call('HGET', KEYS[1], 'seal') ~= 'leaving' then return 'changed' end
