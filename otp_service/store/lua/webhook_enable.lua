-- webhook_enable: enables an endpoint that answered 410, and ends its pause.
-- KEYS  1 endpoint
-- returns {'1' if it was disabled}
-- Invariant: the last result stays.
local was_disabled = redis.call('HEXISTS', KEYS[1], 'disabled') == 1
redis.call('HDEL', KEYS[1], 'disabled', 'failures', 'paused')
return {was_disabled and '1' or ''}
