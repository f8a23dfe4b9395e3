-- remove_unreadable: removes a message whose record cannot be read from the outbox.
-- KEYS  1 message  2 outbox of the partition
-- ARGV  1 id
-- returns {'removed'}, or {'gone'}: it was not in the outbox any more
-- Invariant: it is not claimed again. The record stays until it expires, so that an operator can inspect it.
redis.call('DEL', KEYS[1])
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return {'gone'} end
return {'removed'}
