-- webhook_endpoint: reads the state of an endpoint.
-- KEYS  1 endpoint
-- returns {when it was disabled, failures in a row, ms for which it is not called, last result, when it came}
-- Invariant: nothing is changed.
--@include _clock
local stored = redis.call('HMGET', KEYS[1], 'disabled', 'failures', 'paused', 'result', 'at')
local paused_ms = math.max(0, tonumber(stored[3] or 0) - now_ms())
return {tonumber(stored[1] or 0), tonumber(stored[2] or 0), paused_ms, stored[4] or '', tonumber(stored[5] or 0)}
