-- idempotency_begin: the first to come with a key may work; the others get its answer or are told to wait.
-- KEYS  1 the idempotency key
-- ARGV  1 fingerprint of the request  2 this call's own mark  3 ms until a silent worker is given up  4 life ms
-- returns {'new'}: the work is yours
--         {'resume', the mark of the one who fell silent}: the work is yours; look first what it left
--         {'in_flight', wait ms} {'mismatch'} {'replay', the sealed answer}
-- Invariant: while an answer is kept or its worker is alive, nobody else works under the key.
--@include _clock
local now = now_ms()
local kept = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer', 'until', 'mark')
if kept[1] then
  if kept[1] ~= ARGV[1] then return {'mismatch'} end
  if kept[2] then return {'replay', kept[2]} end
  if tonumber(kept[3]) > now then return {'in_flight', tonumber(kept[3]) - now} end
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'until', string.format('%d', now + tonumber(ARGV[3])), 'mark', ARGV[2])
live_until(KEYS[1], now + tonumber(ARGV[4]), now)
if kept[4] then return {'resume', kept[4]} end
return {'new'}
