-- idempotency_begin: the first to come with a key may work; the others get its answer or are told to wait.
-- KEYS  1 the idempotency key
-- ARGV  1 fingerprint of the request  2 this call's own mark  3 ms until a silent worker is given up  4 life ms
-- returns {'new'}: the work is yours
--         {'resume', the mark of the one who fell silent}: the work is yours; look first what it left
--         {'in_flight', wait ms} {'mismatch'} {'replay', the sealed answer}
-- Invariant: while an answer is kept or its worker is alive, nobody else works under the key.
--@include _clock _kept
local now = now_ms()
local kept = kept_of(KEYS[1])
local stop = kept_stops(kept, ARGV[1], now)
if stop then return stop end
kept_begin(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], now)
if kept then return {'resume', kept.mark} end
return {'new'}
