-- gateway_take: asks for one call to a gateway, for all replicas: circuit, pace and calls at a time.
-- KEYS  1 the circuit  2 the queue of those who wait for their turn  3 when each of them comes back  4 calls under way
--       5 the circuit for the message's destination
-- ARGV  1 message id  2 ms between two texts, '0' for no pace  3 calls at a time  4 ms the call may take
--       5 ms that the message may still wait
-- returns {'go', now} {'wait', now, ms} {'open', now, ms}: the circuit
--         {'slow', now, ms}: its turn comes too late, or the gateway wants to be left alone for so long
-- Invariant: two texts are never closer than nine tenths of the pace, and in the long run not more than it allows; who
--            came first has the first turn; never more than so many calls are under way; a circuit that is tried again
--            is tried by one call.
--@include _clock _ttl _circuit _queue
local ASK_AGAIN_MS = 1000
local PLACE_LOOK_MS = 100  -- a call is soon over: look again for its place
local LATE_SHARE = 0.1  -- of the pace
local id, pace, at_once, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local now = now_ms()

local function leave_queue(ids)
  redis.call('ZREM', KEYS[2], unpack(ids))
  redis.call('ZREM', KEYS[3], unpack(ids))
end

local function wait_for_turn(wait, ahead)
  local turn = math.ceil(wait + ahead * pace)
  if turn > patience then
    leave_queue({id})
    return {'slow', now, turn}
  end
  local again = math.max(1, math.min(turn, math.max(math.ceil(wait), ASK_AGAIN_MS)))
  if pace > 0 then
    redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now), id)
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + again), id)
    extend_ttl(KEYS[2], now + 600000, now)
    extend_ttl(KEYS[3], now + 600000, now)
  end
  return {'wait', now, again}
end

local states = {}
for _, key in ipairs({KEYS[1], KEYS[5]}) do
  local state, left = circuit_of(key, now)
  if state == 'open' or state == 'probing' then
    leave_queue({id})
    return {'open', now, left}
  end
  states[key] = state
end

local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - GIVEN_UP_MS, 'LIMIT', 0, 1000)
if gone[1] then leave_queue(gone) end
local ahead = redis.call('ZRANK', KEYS[2], id) or redis.call('ZCARD', KEYS[2])

local moments = redis.call('HMGET', KEYS[1], 'last', 'rest')
local last, rest = tonumber(moments[1] or 0), tonumber(moments[2] or 0)
if rest > now + ASK_AGAIN_MS then  -- others may be free: the plan knows, and waits if there are none
  leave_queue({id})
  return {'slow', now, rest - now}
end
if rest > now then return wait_for_turn(rest - now, ahead) end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
if redis.call('ZCARD', KEYS[4]) >= at_once then return wait_for_turn(PLACE_LOOK_MS, ahead) end
if pace > 0 then
  if ahead > 0 or last + pace > now then return wait_for_turn(math.max(last + pace - now, 0), ahead) end
  -- Who comes a little late does not slow down those behind: what counts is when its turn was.
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', math.max(last + pace, now - pace * LATE_SHARE)))
  extend_ttl(KEYS[1], now + pace + 1000, now)
end
for key, state in pairs(states) do
  if state == 'half' then
    redis.call('HSET', key, 'probe', string.format('%.0f', now + tonumber(ARGV[4])), 'by', id)
    extend_ttl(key, now + tonumber(ARGV[4]) + WINDOW_MS, now)
  end
end
leave_queue({id})
redis.call('ZADD', KEYS[4], string.format('%.0f', now + tonumber(ARGV[4])), id)
extend_ttl(KEYS[4], now + tonumber(ARGV[4]), now)
return {'go', now}
