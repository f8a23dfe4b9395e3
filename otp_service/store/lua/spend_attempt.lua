-- spend_attempt: pays for a guess before anybody looks at it.
-- KEYS  1 the verification  2 what is kept under the guess' idempotency key, if it has one
-- ARGV  1 tenant  2 failure windows  3 recipient windows  4 cooldown ms  5 max_sends
--       6 what stands before the recipient's name in the keys of this partition
--       with an idempotency key: 7 the guess' fingerprint  8 this call's mark  9 ms until a silent worker is given up
--       10 the life of what is kept, ms
-- Reaches by template: the recipient that the record names, in the slot of KEYS.
-- returns {'spent', now, attempts left, the record}
--         {'unknown'} {'locked', now, wait ms} {'exhausted', now, wait ms until a new code may be requested}
--         {'verified' | 'superseded' | 'canceled' | 'expired'}
--         {'mismatch'} {'replay', the sealed answer} {'in_flight', wait ms}: nothing was spent
-- Invariant: N parallel guesses: never more than the attempts pass, and each counts for the recipient first.
--            Who is answered anything but `locked` and `exhausted` has the right to give the key its answer.
--@include _clock _record _window _recipient _kept
local tenant = ARGV[1]
local now = now_ms()
local stop = KEYS[2] and kept_stops(kept_of(KEYS[2]), ARGV[7], now)
if stop then return stop end
local function answered(reply)
  if KEYS[2] then kept_begin(KEYS[2], ARGV[7], ARGV[8], ARGV[9], ARGV[10], now) end
  return reply
end

local record = record_of(KEYS[1], now)
if not record or record[TENANT] ~= tenant then return answered({'unknown'}) end

local recipient = ARGV[6] .. record[RECIPIENT]
local failure_windows, most, longest = windows_of(ARGV[2])
local locked = locked_for(recipient, tenant, failure_windows, now)
if locked > 0 then return {'locked', now, locked} end

local status = status_of(record, now)
if status == 'exhausted' then
  local chain = chain_of(recipient, chain_field(tenant, record[PURPOSE]))
  local log = redis.call('HGET', recipient, 's') or ''
  return {'exhausted', now, (send_wait(chain, log, windows_of(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), now))}
end
if status ~= 'pending' then return answered({status}) end

record[ATTEMPTS_LEFT] = record[ATTEMPTS_LEFT] - 1
if record[ATTEMPTS_LEFT] == 0 then record[ENDED] = now end
record_store(KEYS[1], record)
if most > 0 then
  local failures = 'f:' .. tenant
  redis.call('HSET', recipient, failures, log_append(redis.call('HGET', recipient, failures) or '', now, most))
  live_until(recipient, now + longest, now)
end
return answered({'spent', now, record[ATTEMPTS_LEFT], cmsgpack.pack(record)})
