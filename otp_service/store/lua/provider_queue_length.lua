-- provider_queue_length: counts the messages that wait for their turn at a provider.
-- KEYS  1 when each of the waiting messages tries again
-- returns {count}
-- Invariant: messages whose replica stopped are not counted.
--@include _clock _queue
return {redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now_ms() - ABANDONED_AFTER_MS), '+inf')}
