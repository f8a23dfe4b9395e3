-- reserve: reserves one send to a recipient, before any work is done for the request.
-- KEYS  1 recipient  2 its lockout at the tenant  3 opted-out numbers of the partition
--       4 stored response under the request's idempotency key, if it has one
-- ARGV  1 tenant  2 purpose  3 windows of wrong codes  4 windows of sends  5 cooldown ms  6 max_sends
--       7 TTL of a code, ms
--       8, 9 key prefixes of verifications and messages in this partition
--       10 '1': return the code of the pending verification (policy `resend = "reuse"`)
--       11 token of the reservation, by which `withdraw` finds it  12 lockout policy
--       13 member of the recipient in KEYS[3]  14 with an idempotency key: fingerprint of the request
-- Reaches by template: the verification and the message that the recipient's chain names, in the slot of KEYS.
-- returns {'reserved', now, sends so far in the chain, packed chain before, id, record, sealed code}: the last three
--             describe the pending verification, or are ''
--         {'replay', now, sealed response}: the request was answered before, and nothing was reserved
--         {'locked', now, wait ms, ms of each window of wrong codes}
--         {'cooldown' | 'max_sends' | 'recipient', now, wait ms, ms of the cooldown, of the chain and of each window}
--         {'disabled', now} {'opted_out', now}: nothing was reserved
-- Invariant: of N parallel calls at most one succeeds per cooldown, and never more than the windows allow.
--@include _clock _ttl _record _window _recipient _lockout _idempotency
local tenant, purpose = ARGV[1], ARGV[2]
local now = now_ms()
local response = KEYS[4] and stored_response(KEYS[4], ARGV[14])
if response then return {'replay', now, response} end
local failure_windows = parse_windows(ARGV[3])
local windows, max_count, longest_ms = parse_windows(ARGV[4])
local cooldown_ms, max_sends, ttl_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local lockout = read_lockout(KEYS[2])
if is_disabled(lockout, parse_lockout_policy(ARGV[12])) then return {'disabled', now} end
local lock_ms, lock_waits = locked_ms(KEYS[1], tenant, failure_windows, now)
if not lock_waits then return {'locked', now, math.max(lock_ms, lockout.ends - now)} end

local field = chain_field(tenant, purpose)
local chain, chain_before = read_chain(KEYS[1], field)
local log = redis.call('HGET', KEYS[1], 's') or ''
local wait_ms, limit, waits = send_wait_ms(chain, log, windows, cooldown_ms, max_sends, now)
lock_ms = math.max(lock_ms, lockout.ends - now)
if lock_ms > 0 then return with_values({'locked', now, math.max(lock_ms, wait_ms)}, lock_waits) end
if tonumber(redis.call('ZSCORE', KEYS[3], ARGV[13]) or 0) > now then return {'opted_out', now} end
if wait_ms > 0 then return with_values({limit, now, wait_ms}, waits) end

local sends, open = 0, 0
if chain.ends > now then sends, open = chain.sends, open_reservations(chain, now) end
if max_count > 0 then
  redis.call('HSET', KEYS[1], 's', log_append(log, now, max_count))
end
local reserved = {last = now, sends = sends + 1, ends = now + ttl_ms, id = chain.id, token = ARGV[11], open = open + 1}
write_chain(KEYS[1], field, reserved)
extend_ttl(KEYS[1], now + math.max(longest_ms, cooldown_ms, ttl_ms), now)

local reply = {'reserved', now, sends, chain_before, '', '', ''}
if ARGV[10] == '1' and chain.id ~= '' then
  local record = read_record(ARGV[8] .. chain.id, now)
  if record and record_status(record, now) == 'pending' then
    local code = redis.pcall('GET', ARGV[9] .. chain.id)
    if type(code) ~= 'string' then code = '' end  -- a decoy has none; a key of another type counts as none
    reply[5], reply[6], reply[7] = chain.id, cmsgpack.pack(record), code
  end
end
return reply
