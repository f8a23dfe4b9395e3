-- provider_refund: removes a message from the daily usage and the spend history of its provider, because it was
-- definitely not sent.
-- KEYS  1 daily usage of the provider  2 charge of the message
-- ARGV  1 price in millionths  2 time of the charge, ms  3 prefix of the spend history  4 group of the message there
-- returns {'refunded'}, or {'gone'}: it was refunded before
-- Invariant: the day that was charged gets back what it contains for this charge, once.
--@include _clock _ttl _daily_usage _spend_history _message_charge
local now, price, charged_ms = now_ms(), tonumber(ARGV[1]), tonumber(ARGV[2])
price = end_charge(KEYS[2], charged_ms, price)
if not price then return {'gone'} end
remove_usage(KEYS[1], now, price, charged_ms)
add_to_history(ARGV[3], ARGV[4], charged_ms, -1, -price, now)
return {'refunded'}
