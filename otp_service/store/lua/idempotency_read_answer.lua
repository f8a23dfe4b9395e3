-- idempotency_read_answer: reads the stored answer of a repeated request.
-- KEYS  1 stored answer
-- ARGV  1 fingerprint of the request
-- returns {'replay', sealed answer} or {'none'}
-- Invariant: only the request with the same fingerprint gets the answer.
--@include _idempotency
local answer = stored_answer(KEYS[1], ARGV[1])
if answer then return {'replay', answer} end
return {'none'}
