-- Time comes from the server, in milliseconds: replicas may disagree about theirs.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A key's life is only ever made longer.
local function live_until(key, at_ms, now)
  local left = redis.call('PTTL', key)
  if left < at_ms - now then
    redis.call('PEXPIREAT', key, string.format('%d', at_ms))
  end
end
