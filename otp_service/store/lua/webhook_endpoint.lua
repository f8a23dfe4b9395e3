-- webhook_endpoint: reads the state of an endpoint.
-- KEYS  1 endpoint
-- returns {when it was disabled, failures in a row, ms for which it is not called, last result, when it came}
-- Invariant: nothing is changed.
--@include _clock _webhook_endpoint
local now = now_ms()
local stored = redis.call('HMGET', KEYS[1], 'disabled', 'failures', 'result', 'at')
local paused_ms = math.max(0, paused_until(KEYS[1], now) - now)
return {tonumber(stored[1] or 0), tonumber(stored[2] or 0), paused_ms, stored[3] or '', tonumber(stored[4] or 0)}
