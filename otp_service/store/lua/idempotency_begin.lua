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
if kept then
  if kept.fingerprint ~= ARGV[1] then return {'mismatch'} end
  if kept.answer then return {'replay', kept.answer} end
  if kept.until_ms > now then return {'in_flight', kept.until_ms - now} end
end
kept_store(KEYS[1], {fingerprint = ARGV[1], mark = ARGV[2], until_ms = now + tonumber(ARGV[3])})
live_until(KEYS[1], now + tonumber(ARGV[4]), now)
if kept then return {'resume', kept.mark} end
return {'new'}
