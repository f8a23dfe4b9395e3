-- mark_used: remembers what something was used for that may be used once.
-- KEYS  1 its name   ARGV  1 what it is used for now (a digest)  2 ms that it is remembered
-- returns {'first'}, {'same'}: used before, for the same, {'other'}: used before, for something else
local before = redis.call('GET', KEYS[1])
if before then return {before == ARGV[1] and 'same' or 'other'} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'first'}
