-- guard_verified: counts the verification of a message that `guard_acquire` counted, and remembers its number.
-- KEYS  1 breaker of the scope
-- ARGV  1 key prefix of the scope  2 when the message was requested, ms  3 class
--       4 shard and 5 member of the number among the known ones; '': none is remembered
--       6 tag of the number (4 bytes)  7... levels; the last one is the block, with shard only
-- Reaches by template: the buckets, the known numbers and the numbers of blocks of the scope, in the slot of KEYS.
-- returns {'counted'}
-- Invariant: a set of known numbers has at most 512 members, of which one is dropped at random for another.
--@include _clock _ttl _guard_buckets _guard_numbers _guard_breaker
local MAX_KNOWN = 512  -- Redis keeps this many integers compactly (set-max-intset-entries)
local now, prefix, at_ms, class = now_ms(), ARGV[1], tonumber(ARGV[2]), ARGV[3]
for index = 7, #ARGV do add_counts(prefix, at_ms, 'v', class, ARGV[index], 1, now) end
if ARGV[4] ~= '' then
  local period = math.floor(now / KNOWN_PERIOD_MS)
  local key = known_key(prefix, period, ARGV[4])
  if redis.call('TYPE', key).ok ~= 'set' then redis.call('DEL', key) end
  if redis.call('SISMEMBER', key, ARGV[5]) == 0 then
    if redis.call('SCARD', key) >= MAX_KNOWN then redis.call('SPOP', key) end
    redis.call('SADD', key, ARGV[5])
    extend_ttl(key, (period + 2) * KNOWN_PERIOD_MS, now)
  end
end
if ARGV[4] ~= '' then
  forget_number(prefix, math.floor(at_ms / HOUR_MS), math.floor(now / HOUR_MS), class .. ARGV[#ARGV], ARGV[6])
end
local breaker = read_breaker(KEYS[1], now)
if class == 'n' and breaker.since > 0 then
  if breaker.opened > 0 and at_ms >= breaker.opened then
    breaker.probes_verified = breaker.probes_verified + 1
  elseif breaker['until'] == 0 and at_ms >= breaker.since then
    breaker.verified = breaker.verified + 1
  end
  write_breaker(KEYS[1], breaker, now)
end
return {'counted'}
