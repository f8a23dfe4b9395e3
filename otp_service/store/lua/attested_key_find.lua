-- attested_key_find: returns the public key of an attested app.
-- KEYS  1 the key, see attested_key_add
-- returns {'found', public key} or {'unknown'}
-- Invariant: writes nothing.
local public_key = redis.call('HGET', KEYS[1], 'p')
if not public_key then return {'unknown'} end
return {'found', public_key}
