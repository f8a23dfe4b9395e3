-- The current time of the Redis server in milliseconds. No script uses the caller's clock: clocks of replicas differ.
-- `scripts.override_clock` replaces this file in tests.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
