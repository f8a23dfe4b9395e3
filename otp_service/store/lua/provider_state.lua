-- provider_state: reads the state of a provider for one message.
-- KEYS  1 circuit  2 calls in progress  3 daily usage  4 circuit for a destination, if one is asked for
-- ARGV  1 price of the message in millionths  2 message cap, '' for none  3 spend cap in millionths, '' for none
--       4 '1': the caps block
-- returns {'ok' | 'open' | 'capped', ms until this may change, outcome that opened the circuit or '', calls in
--          progress, messages today, spend today, ms until the caps allow one more message at this price, 0: they do}
-- Invariant: nothing is acquired or counted.
--@include _clock _ttl _circuit _daily_usage
local now = now_ms()
local circuit = KEYS[1]
local state, left_ms = circuit_state(circuit, now)
if KEYS[4] and state ~= 'open' then
  local destination_state, destination_left_ms = circuit_state(KEYS[4], now)
  if destination_state == 'open' then
    state, left_ms, circuit = destination_state, destination_left_ms, KEYS[4]
  end
end
local usage = usage_today(KEYS[3], now)
local availability, wait_ms, why = 'ok', 0, redis.call('HGET', circuit, 'why') or ''
local is_capped = ARGV[4] == '1' and exceeds_cap(usage, tonumber(ARGV[1]), ARGV[2], ARGV[3])
local capped_ms = is_capped and ms_until_tomorrow(now) or 0
if state == 'open' then
  availability, wait_ms = 'open', left_ms
elseif is_capped then
  availability, wait_ms = 'capped', capped_ms
end
local calls = redis.call('ZCOUNT', KEYS[2], now, '+inf')
return {availability, wait_ms, why, calls, usage.messages, string.format('%.0f', usage.spend), capped_ms}
