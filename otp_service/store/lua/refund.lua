-- refund: removes a charge from the daily usage, because the message was definitely not sent.
-- KEYS  1 daily usage of a tenant or a country  2 changed price of the charge
-- ARGV  1 price in millionths  2 time of the charge at this account, ms
-- returns {'refunded'}, or {'gone'}: nothing is counted, the charge was on another day, or it was refunded before
-- Invariant: a charge is refunded once, at the price that is counted, and no change of its price comes after that. The
--            usage never falls below zero, and a charge of another day changes nothing today.
--@include _clock _ttl _daily_usage _message_charge
local counted = read_changed_price(KEYS[2]) or {tonumber(ARGV[1]), 0}
if counted[2] >= NO_MORE_CHANGES then return {'gone'} end
write_charge(KEYS[2], {0, NO_MORE_CHANGES})
return {remove_usage(KEYS[1], now_ms(), counted[1], tonumber(ARGV[2])) and 'refunded' or 'gone'}
