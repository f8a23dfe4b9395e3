-- Extends the TTL of a key so that it lives at least until `at_ms`. A TTL is never shortened.
local function extend_ttl(key, at_ms, now)
  local left_ms = redis.call('PTTL', key)
  if left_ms < at_ms - now then
    redis.call('PEXPIREAT', key, string.format('%d', at_ms))
  end
end
