-- idempotency_release: frees an idempotency key, because the response of its request is not stored, or not for long.
-- KEYS  1 claim of the idempotency key
-- ARGV  1 owner token  2 ms until the key is free, 0: at once
-- returns {'released'}, or {'lost'}: the claim is gone, or has another owner
-- Invariant: nobody but the owner frees the key.
local packed = redis.pcall('GET', KEYS[1])
local unpacked, claim = pcall(cmsgpack.unpack, packed)
if not unpacked or type(claim) ~= 'table' or claim[2] ~= ARGV[1] then return {'lost'} end
if tonumber(ARGV[2]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) else redis.call('DEL', KEYS[1]) end
return {'released'}
