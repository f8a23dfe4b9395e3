-- unlock: clears the wrong codes of a recipient at a tenant, and every wait that follows from them.
-- KEYS  1 recipient  2 its lockout at the tenant
-- ARGV  1 tenant  2 windows of wrong codes  3 lockout policy
-- returns {'unlocked', wrong codes in a row before, '1' if the recipient was locked}
-- Invariant: the sends, their cooldown and their chain do not change; a repeated call changes nothing.
--@include _clock _ttl _window _recipient _lockout
local now = now_ms()
local lockout = read_lockout(KEYS[2])
local was_locked = locked_ms(KEYS[1], ARGV[1], parse_windows(ARGV[2]), now) > 0
  or lockout.ends > now or is_disabled(lockout, parse_lockout_policy(ARGV[3]))
local log_bytes = redis.pcall('HSTRLEN', KEYS[1], 'f:' .. ARGV[1])
if type(log_bytes) == 'number' then
  redis.call('HDEL', KEYS[1], 'f:' .. ARGV[1])
else  -- not a hash: it is damaged, and locks the recipient
  redis.call('DEL', KEYS[1])
  log_bytes = 0
end
redis.call('DEL', KEYS[2])
local failures = lockout.failures < math.huge and lockout.failures or 0
return {'unlocked', math.max(failures, log_bytes / LOG_ENTRY_BYTES), was_locked and '1' or ''}
