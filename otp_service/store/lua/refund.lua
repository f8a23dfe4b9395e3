-- refund: removes a charge from the daily usage, because the message was definitely not sent.
-- KEYS  1 daily usage of a provider or a tenant
-- ARGV  1 price in millionths  2 time of the charge, ms
-- returns {'refunded'}, or {'gone'}: nothing is counted, or the charge was on another day
-- Invariant: the usage never falls below zero, and a charge of another day changes nothing today.
--@include _clock _daily_usage
local now = now_ms()
local day, messages, spend = usage_today(KEYS[1], now)
if messages == 0 or math.floor(tonumber(ARGV[2]) / DAY_MS) ~= day then return {'gone'} end
local spend_left = math.max(0, spend - tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'messages', messages - 1, 'spend', string.format('%.0f', spend_left))
return {'refunded'}
