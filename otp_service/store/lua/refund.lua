-- refund: removes a charge from the daily usage, because the message was definitely not sent.
-- KEYS  1 daily usage of a tenant or a country  2 changed price of the message
-- ARGV  1 price in millionths  2 time of the charge, ms
-- returns {'refunded'}, or {'gone'}: nothing is counted, or the charge was on another day
-- Invariant: the usage never falls below zero, and a charge of another day changes nothing today.
--@include _clock _ttl _daily_usage _message_charge
local counted = read_changed_price(KEYS[2])
if counted then write_charge(KEYS[2], {0, 2 ^ 52}) end  -- no change comes after it
local price = counted and counted[1] or tonumber(ARGV[1])
return {remove_usage(KEYS[1], now_ms(), price, tonumber(ARGV[2])) and 'refunded' or 'gone'}
