-- idempotency_claim: the first to come with an idempotency key may work under it, for one request.
-- KEYS  1 the idempotency key
-- ARGV  1 fingerprint of the request  2 the caller's own token  3 ms until a silent owner is given up  4 life ms
-- returns {'claimed'}: the work is yours
--         {'in_flight', wait ms}: somebody is at it  {'mismatch'}: the key is of another request, or its claim is damaged
-- Invariant: a key is of one request until it is released. What its answer is stands with what the answer tells of.
--@include _clock _ttl
local now = now_ms()
local packed = redis.pcall('GET', KEYS[1])
if packed then
  local unpacked, claim = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(claim) ~= 'table' or claim[1] ~= ARGV[1] then return {'mismatch'} end
  if (tonumber(claim[3]) or 0) > now then return {'in_flight', claim[3] - now} end
end
redis.call('SET', KEYS[1], cmsgpack.pack({ARGV[1], ARGV[2], now + tonumber(ARGV[3])}), 'KEEPTTL')
extend_ttl(KEYS[1], now + tonumber(ARGV[4]), now)
return {'claimed'}
