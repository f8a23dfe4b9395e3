-- correct_charge: changes the price of a message that the daily usage contains.
-- KEYS  1 daily usage of a tenant or a country  2 changed price of the charge
-- ARGV  1 new price in millionths  2 our price, which was charged  3 number of the change at the provider
--       4 time of the charge at the provider, ms  5 spend cap in millionths, '' for none
--       6 alert threshold, a share of the cap
--       where the operator gets events: 7 targets (packed)  8 'tenant' or 'country'  9 its name
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'corrected', messages today, spend today, '1' if this change crossed the alert threshold}
--         {'known'}: this change or a later one is counted already, or the message was refunded
--         {'gone'}: the charge was on another day
-- Invariant: a repeated change has no effect, and changes that overtake one another end with the last one. The usage
--            never falls below zero, and a charge of another day changes nothing today.
--@include _clock _ttl _daily_usage _message_charge _events _cap_events
local price, number = tonumber(ARGV[1]), tonumber(ARGV[3])
local counted = read_changed_price(KEYS[2]) or {tonumber(ARGV[2]), 0}
if counted[2] >= number then return {'known'} end
local charged_ms = counted[3] or tonumber(ARGV[4])
local messages, spend, alert =
  change_usage(KEYS[1], now_ms(), price - counted[1], charged_ms, ARGV[5], tonumber(ARGV[6]))
if not messages then return {'gone'} end
write_charge(KEYS[2], {price, number, charged_ms})
if alert == '1' then emit_cap_near(ARGV[7], ARGV[8], ARGV[9], messages, spend, '', ARGV[5], now_ms()) end
return {'corrected', messages, string.format('%.0f', spend), alert}
