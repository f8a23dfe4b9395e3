-- guard_release: removes what `guard_acquire` counted for a request that was not admitted, and adds the event of the
-- decision that denied it.
-- KEYS  1 breaker of the scope
-- ARGV  1 key prefix of the scope  2 when it was counted, ms  3 class  4 '1': nothing was sent
--       5 tag of the number, if it was added to its block; else ''  6 `until` of the breaker then  7 '1': it was a probe
--       8 event (packed), in the scope of all countries; '': none
--       9... levels; the last one is the block, with a tag only
-- Reaches by template: the buckets, the numbers of blocks and the events of the scope, in the slot of KEYS.
-- returns {'released'}
-- Invariant: no count becomes negative. A breaker that was opened or closed meanwhile is not changed. An event is
--            added once, however many calls name it.
--@include _clock _ttl _guard_buckets _guard_numbers _guard_breaker _events _guard_events
local now, prefix, at_ms, class = now_ms(), ARGV[1], tonumber(ARGV[2]), ARGV[3]
local levels = {unpack(ARGV, 9)}
emit_guard_event(prefix, ARGV[8], now)
if ARGV[5] ~= '' then
  local first_hour, last_hour = math.floor(at_ms / HOUR_MS), math.floor(now / HOUR_MS)
  forget_number(prefix, first_hour, last_hour, class .. levels[#levels], ARGV[5], math.floor(at_ms / 1000))
end
if ARGV[4] == '1' then return {'released'} end
for _, level in ipairs(levels) do add_counts(prefix, at_ms, 's', class, level, -1, now) end
local breaker = read_breaker(KEYS[1], now)
if class == 'n' and breaker.since > 0 and breaker.since <= at_ms and breaker['until'] == tonumber(ARGV[6]) then
  if ARGV[7] == '1' then
    breaker.probes_sent, breaker.next_probe = math.max(0, breaker.probes_sent - 1), at_ms
  elseif breaker['until'] <= at_ms then
    breaker.sent = math.max(0, breaker.sent - 1)
  end
  write_breaker(KEYS[1], breaker, now)
end
return {'released'}
