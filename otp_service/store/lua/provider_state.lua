-- gateway_state: how a gateway stands, without taking anything.
-- KEYS  1 the circuit  2 the calls under way  3 its day  4 its circuit for a destination, if one is asked for
-- ARGV  1 price in millionths  2 message cap, ''  3 spend cap in millionths, ''  4 '1': a cap blocks
-- returns {'ok' | 'open' | 'capped', ms until it may be otherwise, why it is open or '', calls under way,
--          messages today, spend today, ms until its caps have room for one more message at this price, 0: they have}
--@include _clock _ttl _circuit _day
local now = now_ms()
local state, left = circuit_of(KEYS[1], now)
local judged = KEYS[1]
if KEYS[4] and state ~= 'open' then
  local there, left_there = circuit_of(KEYS[4], now)
  if there == 'open' then state, left, judged = there, left_there, KEYS[4] end
end
local _, messages, spend = today(KEYS[3], now)
local verdict, wait, why = 'ok', 0, redis.call('HGET', judged, 'why') or ''
local is_capped = ARGV[4] == '1' and blocked(messages, spend, tonumber(ARGV[1]), ARGV[2], ARGV[3])
local capped = is_capped and until_tomorrow(now) or 0
if state == 'open' then
  verdict, wait = 'open', left
elseif is_capped then
  verdict, wait = 'capped', capped
end
return {verdict, wait, why, redis.call('ZCOUNT', KEYS[2], now, '+inf'), messages, string.format('%.0f', spend),
  capped}
