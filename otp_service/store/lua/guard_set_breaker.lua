-- guard_set_breaker: opens or closes the breaker of a scope.
-- KEYS  1 breaker of the scope
-- ARGV  1 `until` that the caller has read; '': any  2 for how long it opens, ms; 0: it closes  3 time between probes, ms
--       4 why it opens; '': the counts say it, 'conversion' of messages or of 'probes'
-- returns {'set', until} or {'unchanged', until}: it was opened or closed meanwhile, or has no state to close
-- Invariant: of N parallel calls that have read the same state, one changes it.
--@include _clock _ttl _guard_breaker
local now, open_ms = now_ms(), tonumber(ARGV[2])
local breaker = read_breaker(KEYS[1], now)
if ARGV[1] ~= '' and breaker['until'] ~= tonumber(ARGV[1]) then return {'unchanged', breaker['until']} end
if ARGV[1] == '' and open_ms == 0 and breaker.since == 0 then return {'unchanged', 0} end
local why, sent, verified = 'conversion', breaker.sent, breaker.verified
if breaker['until'] > 0 then why, sent, verified = 'probes', breaker.probes_sent, breaker.probes_verified end
if ARGV[4] ~= '' then why = ARGV[4] end
reset_breaker(breaker, now, open_ms > 0 and now + open_ms or 0, tonumber(ARGV[3]))
write_breaker(KEYS[1], breaker, now)
if open_ms > 0 then
  local sent_text, verified_text = string.format('%d', sent), string.format('%d', verified)
  redis.call('HSET', KEYS[1], 'why', why, 'why_sent', sent_text, 'why_verified', verified_text)
end
return {'set', breaker['until']}
