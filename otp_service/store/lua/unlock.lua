-- unlock: forgets the wrong codes of a recipient at a tenant, and every wait that follows from them.
-- KEYS  1 the recipient  2 its lock-out at the tenant
-- ARGV  1 tenant  2 failure windows  3 lock-out policy
-- returns {'unlocked', the wrong codes in a row before, '1' if the recipient was locked}
-- Invariant: the sends, their cooldown and their chain stay as they are; a repeated call changes nothing.
--@include _clock _ttl _window _recipient _lockout
local now = now_ms()
local lockout = lockout_of(KEYS[2])
local locked = locked_for(KEYS[1], ARGV[1], windows_of(ARGV[2]), now) > 0
  or lockout.ends > now or is_disabled(lockout, lockout_policy(ARGV[3]))
local counted = redis.pcall('HSTRLEN', KEYS[1], 'f:' .. ARGV[1])
if type(counted) == 'number' then
  redis.call('HDEL', KEYS[1], 'f:' .. ARGV[1])
else  -- it is damaged, and locks as such
  redis.call('DEL', KEYS[1])
  counted = 0
end
redis.call('DEL', KEYS[2])
local failures = lockout.failures < math.huge and lockout.failures or 0
return {'unlocked', math.max(failures, counted / 6), locked and '1' or ''}
