-- idempotency_store_response: stores a response that no other script has stored together with its effect.
-- KEYS  1 stored response
-- ARGV  1 fingerprint of the request  2 sealed response  3 TTL ms
-- returns {'stored'}, or {'exists'}: the request has a response already
-- Invariant: the first response of a request stays.
--@include _idempotency
if stored_response(KEYS[1], ARGV[1]) then return {'exists'} end
store_response(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return {'stored'}
