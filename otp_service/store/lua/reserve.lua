-- reserve: takes one send from everything that belongs to the recipient, before any work is done for it.
-- KEYS  1 the recipient  2 its lock-out at the tenant  3 the answer under the request's idempotency key, if it has one
-- ARGV  1 tenant  2 purpose  3 failure windows  4 recipient windows  5 cooldown ms  6 max_sends  7 ttl ms
--       8, 9 what stands before an id in the names of verifications and messages of this partition
--       10 '1': tell the code of the verification that still lives (policy `resend = "reuse"`)
--       11 the reservation's token, by which `unreserve` knows it  12 lock-out policy
--       13 with an idempotency key: the request's fingerprint
-- Reaches by template: the verification and the message that the recipient's chain names, in the slot of KEYS.
-- returns {'reserved', now, sends so far in the chain, the chain before, id, record, sealed code}: the last three
--             are of the verification that still lives, or ''
--         {'replay', now, the sealed answer}: it was answered before, and nothing was taken
--         {'locked' | 'cooldown' | 'max_sends' | 'recipient', now, wait ms} {'disabled', now}: nothing was taken
-- Invariant: of N parallel calls at most one passes per cooldown, and never more than the windows allow.
--@include _clock _ttl _record _window _recipient _lockout _answer
local tenant, purpose = ARGV[1], ARGV[2]
local now = now_ms()
local answer = KEYS[3] and answer_of(KEYS[3], ARGV[13])
if answer then return {'replay', now, answer} end
local failure_windows = windows_of(ARGV[3])
local windows, most, longest = windows_of(ARGV[4])
local cooldown, max_sends, ttl = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local lockout = lockout_of(KEYS[2])
if is_disabled(lockout, lockout_policy(ARGV[12])) then return {'disabled', now} end
local locked = locked_for(KEYS[1], tenant, failure_windows, now)
if locked > 0 then return {'locked', now, math.max(locked, lockout.ends - now)} end

local field = chain_field(tenant, purpose)
local chain, before = chain_of(KEYS[1], field)
local log = redis.call('HGET', KEYS[1], 's') or ''
local wait, why = send_wait(chain, log, windows, cooldown, max_sends, now)
if lockout.ends > now then return {'locked', now, math.max(lockout.ends - now, wait)} end
if wait > 0 then return {why, now, wait} end

local sends, running = 0, 0
if chain.ends > now then sends, running = chain.sends, running_of(chain, now) end
if most > 0 then
  redis.call('HSET', KEYS[1], 's', log_append(log, now, most))
end
local reserved = {last = now, sends = sends + 1, ends = now + ttl, id = chain.id, token = ARGV[11], running = running + 1}
chain_store(KEYS[1], field, reserved)
extend_ttl(KEYS[1], now + math.max(longest, cooldown, ttl), now)

local reply = {'reserved', now, sends, before, '', '', ''}
if ARGV[10] == '1' and chain.id ~= '' then
  local record = record_of(ARGV[8] .. chain.id, now)
  if record and status_of(record, now) == 'pending' then
    local code = redis.pcall('GET', ARGV[9] .. chain.id)
    if type(code) ~= 'string' then code = '' end  -- a decoy has none, and one of another type is none
    reply[5], reply[6], reply[7] = chain.id, cmsgpack.pack(record), code
  end
end
return reply
