-- provider_acquire: acquires one call to a provider, for all replicas: daily caps, circuit, rate and concurrent calls.
-- KEYS  1 circuit  2 queue: the messages that wait, by arrival  3 when each of them tries again  4 calls in progress
--       5 circuit of the message's destination  6 daily usage of the provider  7 charge of the message
-- ARGV  1 message id  2 ms between two messages, '0' for no rate limit  3 maximum of concurrent calls
--       4 maximum duration of the call, ms  5 ms that the message can still wait
--       6 price in millionths, '' if the message is charged already  7 message cap, '' for none
--       8 spend cap in millionths, '' for none  9 '1': the caps block  10 alert threshold, a share of a cap
--       11 '1': another cap can still refuse the message  12 prefix of the spend history  13 group of the message there
--       14 '1': the gateway may report later what it charged
--       where the operator gets events: 15 targets (packed)  16 provider
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'permit', now, messages today, spend today, '1' if this message crossed the alert threshold}
--         {'wait', now, ms}: it keeps its position in the queue, and tries again after this time
--         {'open', now, ms}: the circuit is open
--         {'slow', now, ms}: its turn would come too late, or the gateway asked for a longer pause
--         {'capped', now, ms until tomorrow}: a daily cap is reached
--         {'held', now, ms}: so it is, but the message that reached it may still be refused: ask again
-- Invariant: two messages are never closer than nine tenths of the interval, and on average not closer than the
--            interval. First come, first served. Never more than the maximum of calls are in progress. A half-open
--            circuit lets one call through. Only a message with a permit is charged, so of N messages at a blocking
--            cap of C exactly C are.
--@include _clock _ttl _circuit _queue _daily_usage _spend_history _message_charge
local MAX_POLL_MS = 1000
local CONCURRENCY_POLL_MS = 100  -- a call ends soon: ask again after this time
local MAX_CATCH_UP = 0.1  -- of the interval
local QUEUE_TTL_MS = 600000
local MAX_PAUSE_MS = 60000  -- as in store/provider_limits.py
local id, interval_ms, max_concurrent, patience_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local now = now_ms()

local function leave_queue(ids)
  redis.call('ZREM', KEYS[2], unpack(ids))
  redis.call('ZREM', KEYS[3], unpack(ids))
end

local function wait_in_queue(wait_ms, ahead)
  local turn_ms = math.ceil(wait_ms + ahead * interval_ms)
  if turn_ms > patience_ms then
    leave_queue({id})
    return {'slow', now, turn_ms}
  end
  local poll_ms = math.max(1, math.min(turn_ms, math.max(math.ceil(wait_ms), MAX_POLL_MS)))
  if interval_ms > 0 then
    redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now), id)
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + poll_ms), id)
    extend_ttl(KEYS[2], now + QUEUE_TTL_MS, now)
    extend_ttl(KEYS[3], now + QUEUE_TTL_MS, now)
  end
  return {'wait', now, poll_ms}
end

local price = tonumber(ARGV[6])
local usage = price and usage_today(KEYS[6], now)
if price and ARGV[9] == '1' and exceeds_cap(usage, price, ARGV[7], ARGV[8]) then
  if usage.held_until <= now then leave_queue({id}) end
  return capped_reply(usage.held_until, now)
end

local states = {}
for _, key in ipairs({KEYS[1], KEYS[5]}) do
  local state, left_ms = circuit_state(key, now)
  if state == 'open' or state == 'probing' then
    leave_queue({id})
    return {'open', now, left_ms}
  end
  states[key] = state
end

local abandoned = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ABANDONED_AFTER_MS, 'LIMIT', 0, 1000)
if abandoned[1] then leave_queue(abandoned) end
local ahead = redis.call('ZRANK', KEYS[2], id) or redis.call('ZCARD', KEYS[2])

local times = redis.call('HMGET', KEYS[1], 'last', 'rest')
local last_at, paused_until = tonumber(times[1] or 0), tonumber(times[2] or 0)
-- The clock went back by more than the interval, as after a failover: nobody waits until it has caught up.
if last_at - now > interval_ms then last_at = 0 end
if paused_until - now > MAX_PAUSE_MS then paused_until = 0 end
if paused_until > now + MAX_POLL_MS then  -- a long pause: the caller tries another provider, or waits
  leave_queue({id})
  return {'slow', now, paused_until - now}
end
if paused_until > now then return wait_in_queue(paused_until - now, ahead) end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
if redis.call('ZCARD', KEYS[4]) >= max_concurrent then
  -- Of a call that ends later than any does, the clock went back: it counts from now on, also if its end was lost.
  local later = string.format('(%.0f', now + MAX_CALL_MS)
  for _, call in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], later, '+inf')) do
    redis.call('ZADD', KEYS[4], string.format('%.0f', now + tonumber(ARGV[4])), call)
  end
  return wait_in_queue(CONCURRENCY_POLL_MS, ahead)
end
if interval_ms > 0 then
  if ahead > 0 or last_at + interval_ms > now then
    return wait_in_queue(math.max(last_at + interval_ms - now, 0), ahead)
  end
  -- A message that tries a little late does not delay those behind it: the time of its turn counts, not of its call.
  local turn_at = math.max(last_at + interval_ms, now - interval_ms * MAX_CATCH_UP)
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', turn_at))
  extend_ttl(KEYS[1], now + interval_ms + 1000, now)
end
local call_ends_at = now + tonumber(ARGV[4])
for key, state in pairs(states) do
  if state == 'half' then
    redis.call('HSET', key, 'probe', string.format('%.0f', call_ends_at), 'by', id)
    extend_ttl(key, call_ends_at + WINDOW_MS, now)
  end
end
leave_queue({id})
redis.call('ZADD', KEYS[4], string.format('%.0f', call_ends_at), id)
extend_ttl(KEYS[4], call_ends_at, now)
if not price then return {'permit', now, 0, '0', ''} end
local messages, spend, alert =
  add_usage(KEYS[6], usage, now, price, ARGV[7], ARGV[8], tonumber(ARGV[10]), ARGV[11] == '1')
add_to_history(ARGV[12], ARGV[13], now, 1, price, now)
if alert == '1' then
  --@include _events _cap_events
  emit_cap_near(ARGV[15], 'provider', ARGV[16], messages, spend, ARGV[7], ARGV[8], now)
end
if ARGV[14] == '1' then write_new_charge(KEYS[7], now, price, ARGV[13]) end
return {'permit', now, messages, string.format('%.0f', spend), alert}
