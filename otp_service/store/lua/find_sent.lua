-- find_sent: reads which message a gateway's own id names.
-- KEYS  1 the gateway's id
-- returns {our id of the message, '' if none is known}
-- Invariant: nothing is written.
return {redis.call('GET', KEYS[1]) or ''}
