-- mark_used: remembers that a one-time value was used, and for what.
-- KEYS  1 the value
-- ARGV  1 digest of what it is used for  2 TTL ms
-- returns {'first'}, {'same'}: it was used for the same before, or {'other'}: it was used for something else before
-- Invariant: a value is used for one thing within its TTL.
local use_before = redis.call('GET', KEYS[1])
if use_before then return {use_before == ARGV[1] and 'same' or 'other'} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'first'}
