-- spend_attempt: pays for a guess before anybody looks at it.
-- KEYS  1 the verification
-- ARGV  1 tenant  2 failure windows  3 recipient windows  4 cooldown ms  5 max_sends
--       6 what stands before the recipient's name in the keys of this partition
--       7 the ids of the keys that the caller can compare with (packed)
--       8 what stands before the name of the recipient's lock-out  9 lock-out policy
-- Reaches by template: the recipient that the record names, and its lock-out at the tenant, in the slot of KEYS.
-- returns {'spent', now, attempts left, the record, what the guess locks if it is wrong:
--             'disabled' | 'failures' | 'wait' | ''}
--         {'unknown'} {'disabled'} {'locked', now, wait ms}
--         {'exhausted', now, wait ms until a new code may be requested}
--         {'verified' | 'superseded' | 'canceled' | 'expired'}
--         {'unreadable'}: it was made under another key, or in another form: nothing was spent
-- Invariant: N parallel guesses: never more than the attempts pass, nor more in a row than disable the recipient, and
--            each counts for the recipient first.
--@include _clock _ttl _record _window _recipient _lockout
local tenant = ARGV[1]
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record or record[TENANT] ~= tenant then return {'unknown'} end

local recipient = ARGV[6] .. record[RECIPIENT]
local lockout_name = lockout_key(ARGV[8], tenant, record[RECIPIENT])
local lockout, rules = lockout_of(lockout_name), lockout_policy(ARGV[9])
if is_disabled(lockout, rules) then return {'disabled'} end
local failure_windows, most, longest = windows_of(ARGV[2])
local locked = locked_for(recipient, tenant, failure_windows, now)
if locked > 0 then return {'locked', now, locked} end

local status = status_of(record, now)
if status == 'exhausted' then
  local chain = chain_of(recipient, chain_field(tenant, record[PURPOSE]))
  local log = redis.call('HGET', recipient, 's') or ''
  local wait = send_wait(chain, log, windows_of(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), now)
  return {'exhausted', now, math.max(wait, lockout.ends - now)}
end
if status ~= 'pending' then return {status} end
if not is_readable(record, cmsgpack.unpack(ARGV[7])) then return {'unreadable'} end

record[ATTEMPTS_LEFT] = record[ATTEMPTS_LEFT] - 1
if record[ATTEMPTS_LEFT] == 0 then record[ENDED] = now end
record_store(KEYS[1], record)
if most > 0 then
  local failures = 'f:' .. tenant
  redis.call('HSET', recipient, failures, log_append(redis.call('HGET', recipient, failures) or '', now, most))
  extend_ttl(recipient, now + longest, now)
end
lockout_count(lockout_name, lockout, record[ATTEMPTS_LEFT] == 0, rules, now)

local locks = record[ATTEMPTS_LEFT] == 0 and 'wait' or ''
if locked_for(recipient, tenant, failure_windows, now) > 0 then locks = 'failures' end
if is_disabled(lockout, rules) then locks = 'disabled' end
return {'spent', now, record[ATTEMPTS_LEFT], cmsgpack.pack(record), locks}
