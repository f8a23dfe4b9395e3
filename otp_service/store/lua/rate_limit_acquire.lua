-- rate_limit_acquire: acquires one event of a limit's windows, or only looks whether one fits.
-- KEYS  1 the limit for one subject: a list of times, oldest first
-- ARGV  1 windows  2 'look' (optional): acquire nothing; 'left': return what is left
-- returns {'acquired', time of the event}, with 'left' followed by two numbers for each window: the events that are
--             left, and the ms until there are more
--         {'fits'}: nothing was acquired
--         {'denied', ms until one fits, the ms for each window}: nothing was acquired
-- Invariant: of N parallel calls at a limit of C exactly C succeed in any span.
--@include _clock _ttl _window
local now = now_ms()
local windows, max_count, longest_ms = parse_windows(ARGV[1])
local function nth_youngest(n)
  local at = redis.call('LINDEX', KEYS[1], -n)
  return at and (tonumber(at) or now)  -- a damaged time counts as now
end
local wait_ms, waits = wait_ms_for(windows, now, nth_youngest)
if wait_ms > 0 then return with_values({'denied', wait_ms}, waits) end
if ARGV[2] == 'look' then return {'fits'} end
redis.call('RPUSH', KEYS[1], string.format('%d', now))
redis.call('LTRIM', KEYS[1], -max_count, -1)
extend_ttl(KEYS[1], now + longest_ms, now)
local reply = {'acquired', now}
if ARGV[2] == 'left' then
  for _, window in ipairs(windows) do
    local used, wait_until_ms = used_in(window, now, nth_youngest)
    with_values(reply, {math.max(0, window.count - used), wait_until_ms})
  end
end
return reply
