-- gateway_waiting: how many messages wait for their turn at a gateway.
-- KEYS  1 when each of those who wait comes back
-- returns {how many}
--@include _clock _queue
return {redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now_ms() - GIVEN_UP_MS), '+inf')}
