-- refund: removes a charge from the daily usage, because the message was definitely not sent.
-- KEYS  1 daily usage of a tenant or a country
-- ARGV  1 price in millionths  2 time of the charge, ms
-- returns {'refunded'}, or {'gone'}: nothing is counted, or the charge was on another day
-- Invariant: the usage never falls below zero, and a charge of another day changes nothing today.
--@include _clock _ttl _daily_usage
return {remove_usage(KEYS[1], now_ms(), tonumber(ARGV[1]), tonumber(ARGV[2])) and 'refunded' or 'gone'}
