-- The state of an endpoint, for all replicas: a hash with the fields
--   disabled   when it answered 410, ms     failures   failed attempts in a row
--   paused     until when it is not called, ms     result, at   the last result, and when it came, ms
--   recorded   the last attempts that were recorded, as hashes of 12 characters
local ENDPOINT_TTL_MS = 604800000  -- a week after the last attempt
local DISABLED_TTL_MS = 400 * 86400000
local MAX_PAUSE_MS = 3600000  -- as in webhooks/attempt_schedule.py
local ATTEMPT_HASH_CHARS = 12
local MAX_RECORDED = 64 * ATTEMPT_HASH_CHARS  -- a lost reply is repeated within seconds

-- Whether an attempt was recorded before; from now on it was.
local function was_recorded(key, attempt)
  local hash = string.sub(redis.sha1hex(attempt), 1, ATTEMPT_HASH_CHARS)
  local recorded = redis.call('HGET', key, 'recorded') or ''
  if string.find(recorded, hash, 1, true) then return true end
  redis.call('HSET', key, 'recorded', string.sub(recorded .. hash, -MAX_RECORDED))
  return false
end

-- Returns until when an endpoint is not called; 0: it may be called. The end of a pause that is farther away than that of
-- the longest one says that the clock went back, as after a failover: the pause is over.
local function paused_until(key, now)
  local stored = tonumber(redis.call('HGET', key, 'paused')) or 0
  return stored > now and stored - now <= MAX_PAUSE_MS and stored or 0
end
