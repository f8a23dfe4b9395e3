-- refund: takes a charge back, because the message was surely not sent.
-- KEYS  1 the day of a provider or a tenant
-- ARGV  1 price in millionths  2 when it was charged: another day's charge stays where it was
-- returns {'refunded'} or {'gone'}
--@include _clock _day
local now = now_ms()
local day, messages, spend = today(KEYS[1], now)
if messages == 0 or math.floor(tonumber(ARGV[2]) / DAY_MS) ~= day then return {'gone'} end
local left = math.max(0, spend - tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'messages', messages - 1, 'spend', string.format('%.0f', left))
return {'refunded'}
