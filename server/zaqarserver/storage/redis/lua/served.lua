-- Refuses a queue that is being moved, or has left this store.
if redis.call('HEXISTS', KEYS[1], 'seal') == 1 then return 'sealed' end
