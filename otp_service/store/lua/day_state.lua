-- day_state: whether a day's account has room for one more message, at each of some prices.
-- KEYS  1 the day of a provider or a tenant
-- ARGV  1 message cap, '' for none  2 spend cap in millionths, '' for none  3 '1': a cap blocks
--       4... prices in millionths
-- returns {ms until tomorrow, for each price '1' if it would pass a cap and '' if there is room}
--@include _clock _day
local now = now_ms()
local _, messages, spend = today(KEYS[1], now)
local reply = {until_tomorrow(now)}
for at = 4, #ARGV do
  local passes = ARGV[3] == '1' and blocked(messages, spend, tonumber(ARGV[at]), ARGV[1], ARGV[2])
  reply[#reply + 1] = passes and '1' or ''
end
return reply
