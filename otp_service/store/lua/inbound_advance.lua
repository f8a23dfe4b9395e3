-- inbound_advance: stores how far an inbox was read, and when it is read next.
-- KEYS  1 lease  2 cursor
-- ARGV  1 token of the replica  2 cursor; '' leaves it  3 TTL of the cursor, ms  4 ms until the next claim
-- returns {'advanced'} {'lost'}: the lease has ended, and nothing was stored
-- Invariant: only the holder of the lease moves the cursor.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
redis.call('SET', KEYS[1], 'done', 'PX', ARGV[4])
return {'advanced'}
