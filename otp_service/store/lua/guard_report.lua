-- guard_report: reads the breaker of a scope and its counts of the last hours, for operators.
-- KEYS  1 breaker of the scope
-- ARGV  1 key prefix of the scope  2 how many hours, the current one included
-- Reaches by template: the buckets of the scope, in the slot of KEYS.
-- returns {now, until, opened, probes sent, probes verified, then for each hour, the oldest first: the number of the
--          hour since 1970 and the list of its fields and counts}
-- Invariant: nothing is written.
--@include _clock _ttl _guard_buckets
local now = now_ms()
local breaker = redis.pcall('HMGET', KEYS[1], 'until', 'opened', 'probes_sent', 'probes_verified')
if breaker.err then breaker = {} end
local reply = {now}
for index = 1, 4 do reply[index + 1] = tonumber(breaker[index]) or 0 end
local hour = math.floor(now / HOUR_MS)
for number = hour - tonumber(ARGV[2]) + 1, hour do
  local counts = redis.pcall('HGETALL', ARGV[1] .. 'h' .. string.format('%d', number))
  if not counts.err and #counts > 0 then
    reply[#reply + 1] = number
    reply[#reply + 1] = counts
  end
end
return reply
