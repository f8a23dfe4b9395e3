-- guard_report: reads the breakers of a scope and its counts of the last hours, for operators.
-- KEYS  1 breaker of the scope  2 its breaker of tenants that only observe
-- ARGV  1 key prefix of the scope  2 how many hours, the current one included
-- Reaches by template: the buckets of the scope, in the slot of KEYS.
-- returns {now, the two breakers, then for each hour, the oldest first: the number of the hour since 1970 and the list of
--          its fields and counts}. A breaker is {until, opened, since, probes sent, probes verified, the messages or probes
--          that opened it: sent, verified, and why}.
-- Invariant: nothing is written.
--@include _clock _ttl _guard_buckets
local now = now_ms()
local function breaker_values(key)
  local values = redis.pcall('HMGET', key, 'until', 'opened', 'since', 'probes_sent', 'probes_verified', 'why_sent',
    'why_verified', 'why')
  if values.err then values = {} end
  for index = 1, 7 do values[index] = tonumber(values[index]) or 0 end
  values[8] = values[8] or ''
  return values
end
local reply = {now, breaker_values(KEYS[1]), breaker_values(KEYS[2])}
local hour = math.floor(now / HOUR_MS)
for number = hour - tonumber(ARGV[2]) + 1, hour do
  local counts = redis.pcall('HGETALL', ARGV[1] .. 'h' .. string.format('%d', number))
  if not counts.err and #counts > 0 then
    reply[#reply + 1] = number
    reply[#reply + 1] = counts
  end
end
return reply
