-- rate_limit_release: removes one event that `rate_limit_acquire` acquired.
-- KEYS  1 the limit for one subject: a list of times
-- ARGV  1 time of the event
-- returns {'released'} or {'gone'}
-- Invariant: at most one event is removed.
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return {'gone'} end
return {'released'}
