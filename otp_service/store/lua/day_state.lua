-- day_state: whether a day's account has room for one more message.
-- KEYS  1 the day of a provider or a tenant
-- ARGV  1 message cap, '' for none  2 spend cap in millionths, '' for none  3 '1': a cap blocks
-- returns {'ok'} or {'capped', ms until tomorrow}
--@include _clock _day
local now = now_ms()
local _, messages, spend = today(KEYS[1], now)
if ARGV[3] == '1' and blocked(messages, spend, 0, ARGV[1], ARGV[2]) then return {'capped', until_tomorrow(now)} end
return {'ok'}
