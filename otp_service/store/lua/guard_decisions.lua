-- guard_decisions: reads the newest decisions of the guard.
-- KEYS  1 list of decisions, newest first
-- ARGV  1 how many at most
-- returns {packed decisions, newest first}
-- Invariant: nothing is written.
local found = redis.pcall('LRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1)
return found.err and {} or found
