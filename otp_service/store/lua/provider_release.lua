-- gateway_done: a call has ended, or was not made after all.
-- KEYS  1 the circuit of the provider  2 the calls under way  3 the circuit of the provider for the destination
-- ARGV  1 message id
--       2 'success' | 'failure': by the share of failures | 'trip': at once | 'none': says nothing about the provider
--       3 why it trips  4 for how long it is opened, ms, doubled each time in a row  5 and at most for how long
--       6 ms for which the gateway asked to be left alone, 0: it did not  7 the destination: a country
-- returns {'closed' | 'open', '1' if this call opened it, 'closed' | 'open' and the same for the destination's circuit}
-- Invariant: a probe that succeeds closes the circuit, one that fails opens it for longer. What a call says of one
--            destination alone opens no circuit but that destination's.
--@include _clock _ttl _circuit
local now = now_ms()
local id, signal, why, country = ARGV[1], ARGV[2], ARGV[3], ARGV[7]
local base, longest, rest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('ZREM', KEYS[2], id)

-- Ends a probe by what it says; false: this circuit is not tried again now.
local function judge_probe(key, state, says)
  if state ~= 'probing' and state ~= 'half' then return false end
  if says == 'success' then circuit_close(key) end
  if says == 'failure' then circuit_open(key, now, 'transient', base, longest) end
  if says == 'none' and redis.call('HGET', key, 'by') == id then redis.call('HDEL', key, 'probe', 'by') end
  return true
end

local before, there = circuit_of(KEYS[1], now), circuit_of(KEYS[3], now)
local told_so = before == 'open' and redis.call('HGET', KEYS[1], 'why') == why  -- one trip, however many calls say it
if signal == 'trip' then
  if not told_so then circuit_open(KEYS[1], now, why, base, longest) end
elseif not judge_probe(KEYS[1], before, signal) and before == 'closed' and signal ~= 'none' then
  provider_count(KEYS[1], country, now, signal == 'failure', base, longest)
end

local says = signal == 'trip' and 'none' or signal
if not judge_probe(KEYS[3], there, says) and there == 'closed' and says ~= 'none' then
  circuit_count(KEYS[3], now, says == 'failure', base, longest)
end

if rest > 0 then
  redis.call('HSET', KEYS[1], 'rest', string.format('%.0f', now + rest))
  extend_ttl(KEYS[1], now + rest + WINDOW_MS, now)
end
local after, left_there = circuit_of(KEYS[1], now), 0
local after_there
after_there, left_there = circuit_of(KEYS[3], now)
if after_there == 'open' then
  redis.call('HSET', KEYS[1], 'o:' .. country, string.format('%.0f', now + left_there))
  extend_ttl(KEYS[1], now + left_there + WINDOW_MS, now)
elseif after_there == 'closed' and there ~= 'closed' then
  redis.call('HDEL', KEYS[1], 'o:' .. country)
end
local function told(now_is, was)
  return now_is == 'open' and 'open' or 'closed', now_is == 'open' and was ~= 'open' and '1' or ''
end
local state, opened = told(after, before)
local state_there, opened_there = told(after_there, there)
return {state, opened, state_there, opened_there}
