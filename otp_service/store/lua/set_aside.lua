-- set_aside: takes a message out of the outbox whose record cannot be read.
-- KEYS  1 the message  2 the outbox of the partition
-- ARGV  1 id
-- returns {'set_aside'} or {'gone'}: it was not there any more
-- Invariant: it is not claimed again. The record stays as it is until its life is over: somebody may want to look at it.
redis.call('DEL', KEYS[1])
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return {'gone'} end
return {'set_aside'}
