-- gateway_waiting: how many messages wait for their turn at a gateway.
-- KEYS  1 when each of those who wait comes back
-- returns {how many}
--@include _clock
local GIVEN_UP_MS = 1500  -- as in gateway_take: who is later than that does not come any more
return {redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now_ms() - GIVEN_UP_MS), '+inf')}
