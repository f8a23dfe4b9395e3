-- once_again: something that must be used once may be used again: nothing came of it.
-- KEYS  1 its name   ARGV  1 what it was used for (a digest)
-- returns {'freed'} or {'lost'}: it is used for something else by now
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
redis.call('DEL', KEYS[1])
return {'freed'}
