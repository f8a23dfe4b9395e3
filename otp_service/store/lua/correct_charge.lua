-- correct_charge: changes the price of a message that the daily usage contains.
-- KEYS  1 daily usage of a tenant or a country
-- ARGV  1 difference in millionths  2 time of the charge, ms  3 spend cap in millionths, '' for none
--       4 alert threshold, a share of the cap
-- returns {'corrected', messages today, spend today, '1' if this change crossed the alert threshold}
--         {'gone'}: the charge was on another day
-- Invariant: the usage never falls below zero, and a charge of another day changes nothing today.
--@include _clock _ttl _daily_usage
local messages, spend, alert =
  change_usage(KEYS[1], now_ms(), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]))
if not messages then return {'gone'} end
return {'corrected', messages, string.format('%.0f', spend), alert}
