-- guard_set_breaker: opens or closes the breaker of a scope.
-- KEYS  1 breaker of the scope
-- ARGV  1 `until` that the caller has read; '': any  2 for how long it opens, ms; 0: it closes  3 time between probes, ms
-- returns {'set', until} or {'unchanged', until}: it was opened or closed meanwhile
-- Invariant: of N parallel calls that have read the same state, one changes it.
--@include _clock _ttl _guard_breaker
local now = now_ms()
local breaker = read_breaker(KEYS[1])
if ARGV[1] ~= '' and breaker['until'] ~= tonumber(ARGV[1]) then return {'unchanged', breaker['until']} end
if ARGV[1] == '' and breaker.since == 0 then return {'unchanged', 0} end
reset_breaker(breaker, now, tonumber(ARGV[2]) > 0 and now + tonumber(ARGV[2]) or 0, tonumber(ARGV[3]))
write_breaker(KEYS[1], breaker, now)
return {'set', breaker['until']}
