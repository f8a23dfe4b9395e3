-- webhook_endpoint_called: records the result of an attempt for its endpoint.
-- KEYS  1 endpoint
-- ARGV  1 result  2 '1': it was accepted  3 ms for which the endpoint is not called, 0: it may be  4 '1': it is gone
--       5 names the attempt: the event and the number of its lease
-- returns {'1' if this attempt disabled it}
-- Invariant: an attempt counts once. An acceptance ends a pause; only `webhook_enable` enables a disabled endpoint.
--@include _clock _ttl _webhook_endpoint
local now = now_ms()
if was_recorded(KEYS[1], ARGV[5]) then return {''} end
redis.call('HSET', KEYS[1], 'result', ARGV[1], 'at', string.format('%.0f', now))
extend_ttl(KEYS[1], now + ENDPOINT_TTL_MS, now)
if ARGV[2] == '1' then
  redis.call('HDEL', KEYS[1], 'failures', 'paused')
  return {''}
end
redis.call('HINCRBY', KEYS[1], 'failures', 1)
local pause_ends = now + tonumber(ARGV[3])
if pause_ends > paused_until(KEYS[1], now) then
  redis.call('HSET', KEYS[1], 'paused', string.format('%.0f', pause_ends))
end
if ARGV[4] ~= '1' or redis.call('HEXISTS', KEYS[1], 'disabled') == 1 then return {''} end
redis.call('HSET', KEYS[1], 'disabled', string.format('%.0f', now))
extend_ttl(KEYS[1], now + DISABLED_TTL_MS, now)
return {'1'}
