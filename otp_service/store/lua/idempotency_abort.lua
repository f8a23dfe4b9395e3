-- idempotency_abort: nothing was done and the answer is not to be kept (429 and 5xx): the key is free again.
-- KEYS  1 the idempotency key   ARGV  1 the mark of the one who worked
-- returns {'freed'} or {'lost'}
--@include _kept
local kept = kept_of(KEYS[1])
if not kept or kept.mark ~= ARGV[1] then return {'lost'} end
redis.call('DEL', KEYS[1])
return {'freed'}
