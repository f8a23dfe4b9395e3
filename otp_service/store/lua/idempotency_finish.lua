-- idempotency_finish: keeps the answer for those who ask again.
-- KEYS  1 the idempotency key
-- ARGV  1 the mark of the one who worked  2 the sealed answer
-- returns {'kept'} or {'lost'}: the key is gone or somebody else's by now
if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return {'lost'} end
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
return {'kept'}
