-- Extends the TTL of a key so that it lives at least until `at_ms`. A TTL is never shortened. A key without one gets it,
-- also when `at_ms` is over: the key is then gone.
local function extend_ttl(key, at_ms, now)
  local left_ms = redis.call('PTTL', key)
  if left_ms < 0 or left_ms < at_ms - now then
    redis.call('PEXPIREAT', key, string.format('%d', at_ms))
  end
end
