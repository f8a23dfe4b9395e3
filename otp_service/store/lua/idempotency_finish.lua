-- idempotency_finish: keeps the answer for those who ask again.
-- KEYS  1 the idempotency key
-- ARGV  1 the mark of the one who worked  2 the sealed answer
-- returns {'kept'} or {'lost'}: the key is gone or somebody else's by now, or has its answer
--@include _kept
local kept = kept_of(KEYS[1])
if not kept or kept.mark ~= ARGV[1] then return {'lost'} end
kept_store(KEYS[1], {fingerprint = kept.fingerprint, mark = '', until_ms = 0, answer = ARGV[2]})
return {'kept'}
