-- idempotency_release: the answer is not one to keep: the key is free for any request.
-- KEYS  1 the idempotency key   ARGV  1 the owner's token
-- returns {'released'} or {'lost'}: it is gone, or somebody else's by now
local packed = redis.pcall('GET', KEYS[1])
local unpacked, claim = pcall(cmsgpack.unpack, packed)
if not unpacked or type(claim) ~= 'table' or claim[2] ~= ARGV[1] then return {'lost'} end
redis.call('DEL', KEYS[1])
return {'released'}
