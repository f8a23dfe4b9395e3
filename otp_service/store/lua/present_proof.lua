-- present_proof: reads whether a proof was consumed or has expired, and consumes it on demand.
-- KEYS  1 flag that the proof is consumed
-- ARGV  1 when the proof expires, ms  2 '1' to consume it
-- returns {'fresh'}, {'consumed'}: an earlier call consumed it, or {'expired'}
-- Invariant: of N calls that consume one proof exactly one gets 'fresh'. The flag is kept while the proof is
--            valid.
--@include _clock
if now_ms() >= tonumber(ARGV[1]) then return {'expired'} end
if redis.call('EXISTS', KEYS[1]) == 1 then return {'consumed'} end
if ARGV[2] == '1' then redis.call('SET', KEYS[1], '', 'PXAT', ARGV[1]) end
return {'fresh'}
