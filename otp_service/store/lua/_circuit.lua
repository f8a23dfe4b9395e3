-- A circuit breaker is a hash with the fields
--   open    until when the circuit is open, ms       why   the outcome that opened it
--   trips   how many times in a row it opened
--   from    start of the counting window, ms         calls, bad   calls and failed calls in the window
--   probe   until when a probe (the one call that tries a half-open circuit) counts as running, ms
--   by      the message id of the probe
-- A provider has one circuit for itself and one per destination (the country of the number). The provider's own circuit
-- also has
--   last    when the last message was handed over, ms
--   rest    until when the gateway asked us not to call it, ms
--   d:<country>   calls and failed calls of a destination in the window
--   o:<country>   until when the circuit of that destination is open, ms
local WINDOW_MS = 30000
local MIN_CALLS = 5
local MAX_FAILURE_SHARE = 0.5
local PROBE_POLL_MS = 300  -- a probe ends soon: ask again after this time
-- A circuit that is open for longer than any is: the clock went back. It is half-open. As in store/provider_limits.py.
local MAX_OPEN_MS = 480000
local MAX_CALL_MS = 60000  -- a call may last for 35 seconds, and so may a probe

-- Returns the state and, for the first two, the ms until it may change:
-- 'open', 'probing' (a probe is in progress), 'half' (half-open: the next call is the probe) or 'closed'.
local function circuit_state(key, now)
  local stored = redis.call('HMGET', key, 'open', 'probe')
  if not stored[1] then return 'closed', 0 end
  local open_until, probe_until = tonumber(stored[1]), tonumber(stored[2] or 0)
  if open_until > now and open_until - now <= MAX_OPEN_MS then return 'open', open_until - now end
  if probe_until > now and probe_until - now <= MAX_CALL_MS then return 'probing', math.min(probe_until - now, PROBE_POLL_MS) end
  return 'half', 0
end

-- Opens a circuit for `first_ms`, doubled each time in a row, at most for `max_ms`.
local function open_circuit(key, now, why, first_ms, max_ms)
  local trips = tonumber(redis.call('HGET', key, 'trips') or 0)
  local open_ms = math.min(first_ms * 2 ^ math.min(trips, 30), max_ms)
  redis.call('HSET', key, 'open', string.format('%.0f', now + open_ms), 'why', why, 'trips', trips + 1)
  redis.call('HDEL', key, 'probe', 'by', 'from', 'calls', 'bad')
  extend_ttl(key, now + 2 * open_ms + WINDOW_MS, now)
end

local function close_circuit(key)
  redis.call('HDEL', key, 'open', 'why', 'trips', 'probe', 'by', 'from', 'calls', 'bad')
end

-- Returns the start of the window, its calls and its failed calls; and true when the stored window is over, so that an
-- empty one starts now.
local function circuit_window(key, now)
  local stored = redis.call('HMGET', key, 'from', 'calls', 'bad')
  local from, calls, failures = tonumber(stored[1] or 0), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
  if now - from >= WINDOW_MS or from > now then return now, 0, 0, true end  -- the clock may have gone back
  return from, calls, failures, false
end

local function has_too_many_failures(calls, failures)
  return calls >= MIN_CALLS and failures >= calls * MAX_FAILURE_SHARE
end

-- Counts a call in the circuit of a destination, and opens it when too many calls failed. Returns whether it opened.
local function count_destination_call(key, now, failed, first_ms, max_ms)
  local from, calls, failures = circuit_window(key, now)
  calls, failures = calls + 1, failures + (failed and 1 or 0)
  if has_too_many_failures(calls, failures) then
    open_circuit(key, now, 'transient', first_ms, max_ms)
    return true
  end
  redis.call('HSET', key, 'from', string.format('%.0f', from), 'calls', calls, 'bad', failures)
  extend_ttl(key, now + 2 * WINDOW_MS, now)
  return false
end

-- Returns the calls in the window by destination: {country = {calls, failed calls}}.
local function calls_by_destination(key)
  local found = {}
  local fields = redis.call('HGETALL', key)
  for at = 1, #fields, 2 do
    local country = string.match(fields[at], '^d:(.+)$')
    if country then
      local calls, failures = string.match(fields[at + 1], '^(%d+) (%d+)$')
      found[country] = {tonumber(calls or 0), tonumber(failures or 0)}
    end
  end
  return found
end

-- Whether too many calls failed no matter which single destination is left out. Then no destination alone explains the
-- failures, and the provider's own circuit must open.
local function fails_beyond_one_destination(destinations, calls, failures)
  for _, destination in pairs(destinations) do
    if not has_too_many_failures(calls - destination[1], failures - destination[2]) then return false end
  end
  return true
end

-- Counts a call in the provider's own circuit, and opens it when more than one destination fails. Returns whether it
-- opened.
local function count_provider_call(key, country, now, failed, first_ms, max_ms)
  local from, calls, failures, is_over = circuit_window(key, now)
  local destinations = calls_by_destination(key)
  if is_over then
    for other in pairs(destinations) do redis.call('HDEL', key, 'd:' .. other) end
    destinations = {}
  end
  calls, failures = calls + 1, failures + (failed and 1 or 0)
  local destination = destinations[country] or {0, 0}
  destination = {destination[1] + 1, destination[2] + (failed and 1 or 0)}
  destinations[country] = destination
  if fails_beyond_one_destination(destinations, calls, failures) then
    open_circuit(key, now, 'transient', first_ms, max_ms)
    return true
  end
  redis.call('HSET', key, 'from', string.format('%.0f', from), 'calls', calls, 'bad', failures,
    'd:' .. country, string.format('%d %d', destination[1], destination[2]))
  extend_ttl(key, now + 2 * WINDOW_MS, now)
  return false
end
