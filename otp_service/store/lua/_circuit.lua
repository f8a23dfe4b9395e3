-- A circuit is a hash: `open` until when, `why`, `trips` in a row, the window `from` with its `calls` and how many
-- of them were `bad`, and `probe`, until when the one call that tries a circuit again (`by`) is waited for. Beside them stand
-- `last`, when the last text went out, and `rest`, until when the gateway asked to be left alone.
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
  live_until(key, now + 2 * ms + WINDOW_MS, now)
end

local function circuit_close(key)
  redis.call('HDEL', key, 'open', 'why', 'trips', 'probe', 'by', 'from', 'calls', 'bad')
end

-- Counts a call into the window; opens when too many of enough were bad.
local function circuit_count(key, now, bad, base, longest)
  local kept = redis.call('HMGET', key, 'from', 'calls', 'bad')
  local from, calls, failures = tonumber(kept[1] or 0), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  if now - from >= WINDOW_MS then from, calls, failures = now, 0, 0 end
  calls, failures = calls + 1, failures + (bad and 1 or 0)
  if calls >= FEWEST_CALLS and failures >= calls * BAD_SHARE then
    circuit_open(key, now, 'transient', base, longest)
    return
  end
  redis.call('HSET', key, 'from', string.format('%.0f', from), 'calls', calls, 'bad', failures)
  live_until(key, now + 2 * WINDOW_MS, now)
end
