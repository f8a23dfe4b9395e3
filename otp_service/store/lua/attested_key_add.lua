-- attested_key_add: registers the key of an attested app, or keeps one that is registered for longer.
-- KEYS  1 the key: hash with p, the public key, and c, the counter of its last assertion
-- ARGV  1 public key  2 for how many ms it is kept
-- returns {'added'}, or {'known'}: it was registered, and its counter is unchanged
-- Invariant: the counter of a registered key is never set back.
--@include _clock _ttl
local now = now_ms()
if redis.call('EXISTS', KEYS[1]) == 1 then
  extend_ttl(KEYS[1], now + ARGV[2], now)
  return {'known'}
end
redis.call('HSET', KEYS[1], 'p', ARGV[1], 'c', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'added'}
