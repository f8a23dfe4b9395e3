-- guard_forget: removes a number from the known ones, those that have verified a code.
-- KEYS  1 breaker of the scope
-- ARGV  1 key prefix of the scope  2 shard and 3 member of the number
-- Reaches by template: the known numbers of this period and of the last one, in the slot of KEYS.
-- returns {'removed'}, or {'unknown'}
-- Invariant: nothing of other numbers is changed.
--@include _clock _ttl _guard_buckets
local period, removed = math.floor(now_ms() / KNOWN_PERIOD_MS), 0
for at = period - 1, period do
  local found = redis.pcall('SREM', known_key(ARGV[1], at, ARGV[2]), ARGV[3])
  if found == 1 then removed = 1 end
end
return {removed == 1 and 'removed' or 'unknown'}
