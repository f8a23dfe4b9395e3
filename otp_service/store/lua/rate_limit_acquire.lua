-- take: one event out of a limit's windows.
-- KEYS  1 the limit's subject (a list of moments, oldest first)
-- ARGV  1 windows
-- returns {'taken', the moment} or {'denied', wait ms}: nothing was taken
-- Invariant: N parallel calls at a limit of C let exactly C pass in any span.
--@include _clock _ttl _window
local now = now_ms()
local windows, most, longest = windows_of(ARGV[1])
local wait = wait_for(windows, now, function(n)
  local at = redis.call('LINDEX', KEYS[1], -n)
  return at and (tonumber(at) or now)  -- a damaged moment counts as one of now
end)
if wait > 0 then return {'denied', wait} end
redis.call('RPUSH', KEYS[1], string.format('%d', now))
redis.call('LTRIM', KEYS[1], -most, -1)
extend_ttl(KEYS[1], now + longest, now)
return {'taken', now}
