-- reserve_attempt: reserves one attempt and counts one wrong code, before the submitted code is compared.
-- KEYS  1 verification
-- ARGV  1 tenant  2 windows of wrong codes  3 windows of sends  4 cooldown ms  5 max_sends
--       6 key prefix of recipients in this partition
--       7 ids of the keys that the caller has (packed)
--       8 key prefix of lockouts in this partition  9 lockout policy  10 id of the verification
-- Reaches by template: the recipient that the record names, and its lockout at the tenant, in the slot of KEYS, and
-- the events whose index the record names.
-- returns {'reserved', now, attempts left, record, how the recipient is locked if the code is wrong:
--             'disabled' | 'failures' | 'wait' | ''}
--         {'not_found'} {'disabled'} {'locked', now, wait ms, ms of each window of wrong codes}
--         {'exhausted', now, ms until a new code may be requested}
--         {'ended', 'verified' | 'superseded' | 'canceled' | 'expired'}
--         {'not_found'} also for a relayed code, which has no hash: the service that made it verifies it
--         {'unreadable'}: the caller has no key for the record; no attempt was reserved
-- Invariant: of N parallel attempts never more than the attempts left are compared, nor more in a row than disable the
--            recipient. Each counts as a wrong code of the recipient until `consume` clears it.
--@include _clock _ttl _record _window _recipient _lockout
local tenant = ARGV[1]
local now = now_ms()
local record = read_record(KEYS[1], now)
if not record or record[TENANT] ~= tenant or record[CODE_HASH] == '' then return {'not_found'} end

local recipient = ARGV[6] .. record[RECIPIENT]
local lockout_name = lockout_key(ARGV[8], tenant, record[RECIPIENT])
local lockout, policy = read_lockout(lockout_name), parse_lockout_policy(ARGV[9])
if is_disabled(lockout, policy) then return {'disabled'} end
local failure_windows, max_count, longest_ms = parse_windows(ARGV[2])
local lock_ms, lock_waits, failures = locked_ms(recipient, tenant, failure_windows, now)
if lock_ms > 0 then return with_values({'locked', now, lock_ms}, lock_waits or {}) end

local status = record_status(record, now)
if status == 'exhausted' then
  local chain = read_chain(recipient, chain_field(tenant, record[PURPOSE]))
  local log = redis.call('HGET', recipient, 's') or ''
  local wait_ms = send_wait_ms(chain, log, parse_windows(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), now)
  return {'exhausted', now, math.max(wait_ms, lockout.ends - now)}
end
if status ~= 'pending' then return {'ended', status} end
if not has_key_of(record, cmsgpack.unpack(ARGV[7])) then return {'unreadable'} end

record[ATTEMPTS_LEFT] = record[ATTEMPTS_LEFT] - 1
local is_last = record[ATTEMPTS_LEFT] == 0
if is_last then record[ENDED] = now end
local packed = write_record(KEYS[1], record)
if max_count > 0 then
  failures = log_append(failures, now, max_count)
  redis.call('HSET', recipient, 'f:' .. tenant, failures)
  extend_ttl(recipient, now + longest_ms, now)
end
count_failure(lockout_name, lockout, is_last, policy, now)

local lock_kind = is_last and 'wait' or ''
if wait_ms_for(failure_windows, now, log_reader(failures)) > 0 then lock_kind = 'failures' end
if is_disabled(lockout, policy) then lock_kind = 'disabled' end
if lock_kind ~= '' and has_events(record) then  -- `consume` withdraws these events when the code turns out to be correct
  --@include _events _verification_events
  if is_last then emit(record, ARGV[10], 'x', {}, now + MAY_SUCCEED_MS, now) end
  if lock_kind ~= 'wait' then
    emit(record, ARGV[10], 'l-' .. record[ATTEMPTS_LEFT], {reason = lock_kind}, now + MAY_SUCCEED_MS, now)
  end
end
return {'reserved', now, record[ATTEMPTS_LEFT], packed, lock_kind}
