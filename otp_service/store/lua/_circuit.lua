-- A circuit is a hash: `open` until when, `why`, `trips` in a row, the window `from` with its `calls` and how many
-- of them were `bad`, and `probe`, until when the one call that tries a circuit again (`by`) is waited for.
-- A provider has one for itself and one for each destination (the country of the number). The provider's own also has
-- `last`, when the last text went out, `rest`, until when the gateway asked to be left alone, and for each destination
-- `d:<country>`, its calls and failures in the window, and `o:<country>`, until when that circuit is open.
local WINDOW_MS = 30000
local FEWEST_CALLS = 5
local BAD_SHARE = 0.5
local PROBE_LOOK_MS = 300  -- a probe is soon answered: look again

-- 'closed', 'open' and for how long, or 'probing': it was open, and one call is trying it.
local function circuit_of(key, now)
  local kept = redis.call('HMGET', key, 'open', 'probe')
  if not kept[1] then return 'closed', 0 end
  local open, probe = tonumber(kept[1]), tonumber(kept[2] or 0)
  if open > now then return 'open', open - now end
  if probe > now then return 'probing', math.min(probe - now, PROBE_LOOK_MS) end
  return 'half', 0
end

-- Opens for `base` ms, twice as long each time in a row, and never for longer than `longest`.
local function circuit_open(key, now, why, base, longest)
  local trips = tonumber(redis.call('HGET', key, 'trips') or 0)
  local ms = math.min(base * 2 ^ math.min(trips, 30), longest)
  redis.call('HSET', key, 'open', string.format('%.0f', now + ms), 'why', why, 'trips', trips + 1)
  redis.call('HDEL', key, 'probe', 'by', 'from', 'calls', 'bad')
  extend_ttl(key, now + 2 * ms + WINDOW_MS, now)
end

local function circuit_close(key)
  redis.call('HDEL', key, 'open', 'why', 'trips', 'probe', 'by', 'from', 'calls', 'bad')
end

-- The calls of a window and the bad ones among them; a window that is over counts as empty.
local function circuit_window(key, now)
  local kept = redis.call('HMGET', key, 'from', 'calls', 'bad')
  local from, calls, failures = tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  if now - from >= WINDOW_MS then return now, 0, 0, true end
  return from, calls, failures, false
end

local function too_many(calls, failures)
  return calls >= FEWEST_CALLS and failures >= calls * BAD_SHARE
end

-- Counts a call into the window of a destination; opens when too many of enough were bad.
local function circuit_count(key, now, bad, base, longest)
  local from, calls, failures = circuit_window(key, now)
  calls, failures = calls + 1, failures + (bad and 1 or 0)
  if too_many(calls, failures) then
    circuit_open(key, now, 'transient', base, longest)
    return
  end
  redis.call('HSET', key, 'from', string.format('%.0f', from), 'calls', calls, 'bad', failures)
  extend_ttl(key, now + 2 * WINDOW_MS, now)
end

-- What the window has of each destination: {country = {calls, bad}}.
local function destinations_of(key)
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

-- Whether too many calls were bad whichever one destination is left out: no circuit of a destination is enough then.
local function bad_everywhere(known, calls, failures)
  for _, one in pairs(known) do
    if not too_many(calls - one[1], failures - one[2]) then return false end
  end
  return true
end

-- Counts a call into the window of the provider itself; opens when more than one destination is bad.
local function provider_count(key, country, now, bad, base, longest)
  local from, calls, failures, is_over = circuit_window(key, now)
  local known = destinations_of(key)
  if is_over then
    for other in pairs(known) do redis.call('HDEL', key, 'd:' .. other) end
    known = {}
  end
  calls, failures = calls + 1, failures + (bad and 1 or 0)
  local here = known[country] or {0, 0}
  here = {here[1] + 1, here[2] + (bad and 1 or 0)}
  known[country] = here
  if bad_everywhere(known, calls, failures) then
    circuit_open(key, now, 'transient', base, longest)
    return
  end
  redis.call('HSET', key, 'from', string.format('%.0f', from), 'calls', calls, 'bad', failures,
    'd:' .. country, string.format('%d %d', here[1], here[2]))
  extend_ttl(key, now + 2 * WINDOW_MS, now)
end
