-- once: lets a gateway's one-time token pass the first time.
-- KEYS  1 the token's keyed hash   ARGV  1 ms that it is remembered
-- returns {'first'} or {'again'}
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return {'first'} end
return {'again'}
