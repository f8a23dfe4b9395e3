-- idempotency_claim: claims an idempotency key for one request.
-- KEYS  1 claim of the idempotency key
-- ARGV  1 fingerprint of the request  2 owner token  3 ms after which an owner counts as gone  4 TTL of the claim, ms
-- returns {'claimed'}
--         {'in_flight', ms until the owner counts as gone}: another call works on the same request
--         {'mismatch'}: the key belongs to another request, or its claim is damaged
-- Invariant: a key belongs to one request until it is released. The stored response, not the claim, decides whether the
--            request was answered. A repeated request does not keep the key for longer.
--@include _clock _ttl
local now = now_ms()
local packed = redis.pcall('GET', KEYS[1])
if packed then
  local unpacked, claim = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(claim) ~= 'table' or claim[1] ~= ARGV[1] then return {'mismatch'} end
  local left_ms = (tonumber(claim[3]) or 0) - now
  if left_ms > tonumber(ARGV[3]) then  -- the clock went back, as after a failover: count from now on
    left_ms = tonumber(ARGV[3])
    redis.call('SET', KEYS[1], cmsgpack.pack({claim[1], claim[2], now + left_ms}), 'KEEPTTL')
  end
  if left_ms > 0 then return {'in_flight', left_ms} end
end
redis.call('SET', KEYS[1], cmsgpack.pack({ARGV[1], ARGV[2], now + tonumber(ARGV[3])}), 'KEEPTTL')
extend_ttl(KEYS[1], now + tonumber(packed and ARGV[3] or ARGV[4]), now)
return {'claimed'}
