-- provider_correct_charge: replaces our price of a message by what the gateway charged, in the daily usage and the spend
-- history of its provider.
-- KEYS  1 daily usage of the provider  2 charge of the message
-- ARGV  1 what the gateway charged, millionths  2 where it told it: 'result' or 'receipt'
--       3 prefix of the spend history  4 spend cap in millionths, '' for none  5 alert threshold, a share of the cap
-- returns {'corrected', time of the charge, difference, group, '1' if this change crossed the alert threshold,
--           messages today, spend today}
--         {'known'}: the price is counted already, or a receipt has told a price before this result
--         {'gone'}: no charge of this message is known
-- Invariant: the sums contain each message at one price: the one that was told last, and a receipt's before a result's.
--@include _clock _ttl _daily_usage _spend_history _message_charge
local now, charged = now_ms(), tonumber(ARGV[1])
local charge = read_message_charge(KEYS[2])
if not charge then return {'gone'} end
if charge[4] == 'receipt' and ARGV[2] == 'result' then return {'known'} end
local difference = charged - charge[2]
charge[2], charge[4] = charged, ARGV[2]
write_message_charge(KEYS[2], charge)
if difference == 0 then return {'known'} end
add_to_history(ARGV[3], charge[3], charge[1], 0, difference, now)
local messages, spend, alert = change_usage(KEYS[1], now, difference, charge[1], ARGV[4], tonumber(ARGV[5]))
return {'corrected', string.format('%.0f', charge[1]), string.format('%.0f', difference), charge[3], alert or '',
  messages or 0, string.format('%.0f', spend or 0)}
