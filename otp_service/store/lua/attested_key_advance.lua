-- attested_key_advance: stores the counter of an assertion, and keeps its key for longer.
-- KEYS  1 the key, see attested_key_add
-- ARGV  1 counter of the assertion  2 for how many ms the key is kept
-- returns {'advanced'}, {'replayed'}: the counter is not greater than the stored one, or {'unknown'}
-- Invariant: of N assertions with one counter exactly one is 'advanced', and none with a lower counter after it.
--@include _clock _ttl
local stored = redis.call('HGET', KEYS[1], 'c')
if not stored then return {'unknown'} end
if tonumber(ARGV[1]) <= tonumber(stored) then return {'replayed'} end
redis.call('HSET', KEYS[1], 'c', ARGV[1])
local now = now_ms()
extend_ttl(KEYS[1], now + ARGV[2], now)
return {'advanced'}
