-- rate_limit_acquire: acquires one event of a limit's windows, or only looks whether one fits.
-- KEYS  1 the limit for one subject: a list of times, oldest first
-- ARGV  1 windows  2 'look' (optional): acquire nothing
-- returns {'acquired', time of the event}, {'fits'} or {'denied', ms until one fits}: nothing was acquired
-- Invariant: of N parallel calls at a limit of C exactly C succeed in any span.
--@include _clock _ttl _window
local now = now_ms()
local windows, max_count, longest_ms = parse_windows(ARGV[1])
local wait_ms = wait_ms_for(windows, now, function(n)
  local at = redis.call('LINDEX', KEYS[1], -n)
  return at and (tonumber(at) or now)  -- a damaged time counts as now
end)
if wait_ms > 0 then return {'denied', wait_ms} end
if ARGV[2] == 'look' then return {'fits'} end
redis.call('RPUSH', KEYS[1], string.format('%d', now))
redis.call('LTRIM', KEYS[1], -max_count, -1)
extend_ttl(KEYS[1], now + longest_ms, now)
return {'acquired', now}
