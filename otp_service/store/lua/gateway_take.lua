-- gateway_take: asks for one call to a gateway, for all replicas: circuit, pace and calls at a time.
-- KEYS  1 the circuit  2 the queue of those who wait for their turn  3 the calls under way
-- ARGV  1 message id  2 ms between two texts, '0' for no pace  3 calls at a time  4 ms the call may take
--       5 ms that the message may still wait
-- returns {'go', now} {'wait', now, ms} {'open', now, ms}: the circuit  {'slow', now, ms}: its turn comes too late
-- Invariant: two texts are never closer than the pace, never more than so many calls are under way, and a circuit
--            that is tried again is tried by one call.
--@include _clock _circuit
local ASK_AGAIN_MS = 1000
local id, pace, at_once = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()

local state, left = circuit_of(KEYS[1], now)
if state == 'open' or state == 'probing' then
  redis.call('ZREM', KEYS[2], id)
  return {'open', now, left}
end

-- Who waits asks again every second or when the pace allows; who does not has gone elsewhere, and nobody waits for it.
local function turn(wait)
  local longest = math.max(math.ceil(wait), ASK_AGAIN_MS)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - pace - 3 * ASK_AGAIN_MS)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), id)
  live_until(KEYS[2], now + 600000, now)
  wait = math.ceil(wait + redis.call('ZRANK', KEYS[2], id) * pace)
  if wait <= tonumber(ARGV[5]) then return {'wait', now, math.max(math.min(wait, longest), 1)} end
  redis.call('ZREM', KEYS[2], id)
  return {'slow', now, wait}
end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) >= at_once then return turn(math.max(pace, 100)) end
if pace > 0 then
  local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
  if last + pace > now then return turn(last + pace - now) end
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', now))
  live_until(KEYS[1], now + pace + 1000, now)
end
if state == 'half' then
  redis.call('HSET', KEYS[1], 'probe', string.format('%.0f', now + tonumber(ARGV[4])))
  live_until(KEYS[1], now + tonumber(ARGV[4]) + WINDOW_MS, now)
end
redis.call('ZREM', KEYS[2], id)
redis.call('ZADD', KEYS[3], string.format('%.0f', now + tonumber(ARGV[4])), id)
live_until(KEYS[3], now + tonumber(ARGV[4]), now)
return {'go', now}
