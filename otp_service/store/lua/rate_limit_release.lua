-- untake: gives one event back that `take` took.
-- KEYS  1 the limit's subject   ARGV  1 the moment
-- returns {'released'} or {'gone'}
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then return {'gone'} end
return {'released'}
