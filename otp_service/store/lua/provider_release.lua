-- provider_release: ends a call to a provider, and counts its result in the circuits.
-- KEYS  1 circuit of the provider  2 calls in progress  3 circuit of the provider for the destination
-- ARGV  1 message id
--       2 health signal: 'success' | 'failure' (opens by the share of failures) | 'trip' (opens at once) |
--         'none' (the call was not made, or says nothing about the provider)
--       3 outcome that opens the circuit  4 ms for which it opens first, doubled each time in a row  5 at most, ms
--       6 ms for which the gateway asked us not to call it, 0: it did not  7 destination: a country
--       where the operator gets events: 8 targets (packed)  9 provider
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'closed' | 'open', '1' if this call opened it, and the same two for the destination's circuit}
-- Invariant: a probe that succeeds closes the circuit; one that fails opens it for longer. A result that concerns one
--            destination alone opens only the circuit of that destination.
--@include _clock _ttl _circuit
local now = now_ms()
local id, signal, why, country = ARGV[1], ARGV[2], ARGV[3], ARGV[7]
local first_ms, max_ms, pause_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('ZREM', KEYS[2], id)

-- Applies the result to a circuit that is being probed. Returns false when it is not.
local function end_probe(key, state, result)
  if state ~= 'probing' and state ~= 'half' then return false end
  if result == 'success' then close_circuit(key) end
  if result == 'failure' then open_circuit(key, now, 'transient', first_ms, max_ms) end
  if result == 'none' and redis.call('HGET', key, 'by') == id then redis.call('HDEL', key, 'probe', 'by') end
  return true
end

local before, destination_before = circuit_state(KEYS[1], now), circuit_state(KEYS[3], now)
local is_open_for_this = before == 'open' and redis.call('HGET', KEYS[1], 'why') == why
local stays_closed, destination_stays_closed = false, false
if signal == 'trip' then
  if not is_open_for_this then open_circuit(KEYS[1], now, why, first_ms, max_ms) end  -- parallel calls count once
elseif not end_probe(KEYS[1], before, signal) and before == 'closed' then
  stays_closed = signal == 'none'
    or not count_provider_call(KEYS[1], country, now, signal == 'failure', first_ms, max_ms)
end

local destination_signal = signal == 'trip' and 'none' or signal
if not end_probe(KEYS[3], destination_before, destination_signal) and destination_before == 'closed' then
  destination_stays_closed = destination_signal == 'none'
    or not count_destination_call(KEYS[3], now, destination_signal == 'failure', first_ms, max_ms)
end

if pause_ms > 0 then
  redis.call('HSET', KEYS[1], 'rest', string.format('%.0f', now + pause_ms))
  extend_ttl(KEYS[1], now + pause_ms + WINDOW_MS, now)
end
local after = stays_closed and 'closed' or circuit_state(KEYS[1], now)
local destination_after, destination_left_ms = 'closed', 0
if not destination_stays_closed then destination_after, destination_left_ms = circuit_state(KEYS[3], now) end
if destination_after == 'open' then
  redis.call('HSET', KEYS[1], 'o:' .. country, string.format('%.0f', now + destination_left_ms))
  extend_ttl(KEYS[1], now + destination_left_ms + WINDOW_MS, now)
elseif destination_after == 'closed' and destination_before ~= 'closed' then
  redis.call('HDEL', KEYS[1], 'o:' .. country)
end
if ARGV[8] and (after ~= before or destination_after ~= destination_before) then
  --@include _events _circuit_events
  emit_circuit_event(ARGV[8], ARGV[9], '', KEYS[1], before, after, now)
  emit_circuit_event(ARGV[8], ARGV[9], country, KEYS[3], destination_before, destination_after, now)
end
local function summary(state, state_before)
  return state == 'open' and 'open' or 'closed', state == 'open' and state_before ~= 'open' and '1' or ''
end
local state, opened = summary(after, before)
local destination_state, destination_opened = summary(destination_after, destination_before)
return {state, opened, destination_state, destination_opened}
