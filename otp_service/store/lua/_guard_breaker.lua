-- The breaker of a scope: a hash of numbers. `since`: when the counts `sent` and `verified` began. `until`: until when
-- it is open; 0: it is closed. While it is open: `opened`, `next_probe`, and the probes since then.
local BREAKER_FIELDS = {
  'since', 'sent', 'verified', 'until', 'opened', 'next_probe', 'probes_sent', 'probes_verified',
}
local BREAKER_TIMES = {'since', 'until', 'opened', 'next_probe'}
local BREAKER_KEPT_MS = 86400000  -- after its window or its opening has ended

-- Returns the breaker. If its counts began later than now, the clock went back, as after a failover: all its times go
-- back with it, so that it is open for no longer than it was to be.
local function read_breaker(key, now)
  if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
  local values, breaker = redis.call('HMGET', key, unpack(BREAKER_FIELDS)), {}
  for index, field in ipairs(BREAKER_FIELDS) do breaker[field] = tonumber(values[index]) or 0 end
  local back_ms = breaker.since - now
  if back_ms > 0 then
    for _, field in ipairs(BREAKER_TIMES) do
      if breaker[field] > 0 then breaker[field] = math.max(1, breaker[field] - back_ms) end
    end
  end
  return breaker
end

local function write_breaker(key, breaker, now)
  local values = {}
  for _, field in ipairs(BREAKER_FIELDS) do
    values[#values + 1] = field
    values[#values + 1] = string.format('%d', breaker[field])
  end
  redis.call('HSET', key, unpack(values))
  extend_ttl(key, math.max(now, breaker['until']) + BREAKER_KEPT_MS, now)
end

-- Resets the counts; with an `until_ms` after `now`, the breaker is open until then.
local function reset_breaker(breaker, now, until_ms, probe_ms)
  for _, field in ipairs(BREAKER_FIELDS) do breaker[field] = 0 end
  breaker.since = now
  if until_ms > now then breaker['until'], breaker.opened, breaker.next_probe = until_ms, now, now + probe_ms end
end

-- Counts a request (`sent` 1, or 0 for a decoy). Returns whether it is a probe.
local function count_at_breaker(breaker, sent, window_ms, probe_ms, now)
  if breaker['until'] > now then
    if now < breaker.next_probe then return false end
    breaker.next_probe = now + probe_ms
    breaker.probes_sent = breaker.probes_sent + sent
    return true
  end
  if breaker['until'] == 0 and now - breaker.since >= window_ms then
    breaker.since, breaker.sent, breaker.verified = now, 0, 0
  end
  breaker.sent = breaker.sent + sent
  return false
end
