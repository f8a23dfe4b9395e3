-- idempotency_read_response: reads the stored response of a repeated request.
-- KEYS  1 stored response
-- ARGV  1 fingerprint of the request
-- returns {'replay', sealed response} or {'none'}
-- Invariant: only the request with the same fingerprint gets the response.
--@include _idempotency
local response = stored_response(KEYS[1], ARGV[1])
if response then return {'replay', response} end
return {'none'}
