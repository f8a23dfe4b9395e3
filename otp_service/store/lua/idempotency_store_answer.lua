-- idempotency_store_answer: stores an answer that no other script has stored together with its effect.
-- KEYS  1 stored answer
-- ARGV  1 fingerprint of the request  2 sealed answer  3 TTL ms
-- returns {'stored'}, or {'exists'}: the request has an answer already
-- Invariant: the first answer of a request stays.
--@include _idempotency
if stored_answer(KEYS[1], ARGV[1]) then return {'exists'} end
store_answer(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return {'stored'}
