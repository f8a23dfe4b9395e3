-- remember_sent: remembers which message a gateway's own id names.
-- KEYS  1 the gateway's id
-- ARGV  1 our id of the message  2 TTL ms
-- returns {}
-- Invariant: the latest message with an id counts, because a gateway may use its ids again.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {}
