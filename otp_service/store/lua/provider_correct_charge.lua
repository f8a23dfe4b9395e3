-- provider_correct_charge: replaces the configured price of a message by what the gateway charged, in the daily usage
-- and the spend history of its provider.
-- KEYS  1 daily usage of the provider  2 charge of the message
-- ARGV  1 what the gateway charged, millionths  2 where it reported it: 'result' or 'receipt'
--       3 prefix of the spend history  4 spend cap in millionths, '' for none  5 alert threshold, a share of the cap
--       where the operator gets events: 6 targets (packed)  7 provider
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'charged', group, time of the charge, the configured price, price that is counted, number of the change,
--          '1' if this change crossed the alert threshold, messages today, spend today}
--         {'gone'}: no charge of this message is known, or it was refunded
-- Invariant: the sums contain each message at one price: the one that was reported last; a receipt's has precedence
--            over a result's.
--@include _clock _ttl _daily_usage _spend_history _message_charge _events _cap_events
local now, charged = now_ms(), tonumber(ARGV[1])
local charge = read_message_charge(KEYS[2])
if not charge or charge[4] == 'refunded' then return {'gone'} end

local alert, messages, spend = '', 0, 0
if ARGV[2] == 'receipt' or charge[4] ~= 'receipt' then
  local difference = charged - charge[2]
  charge[2], charge[4] = charged, ARGV[2]
  if difference ~= 0 then
    charge[6] = charge[6] + 1
    add_to_history(ARGV[3], charge[3], charge[1], 0, difference, now)
    local _messages, _spend, _alert = change_usage(KEYS[1], now, difference, charge[1], ARGV[4], tonumber(ARGV[5]))
    if _messages then messages, spend, alert = _messages, _spend, _alert end
  end
  write_charge(KEYS[2], charge)
  if alert == '1' then emit_cap_near(ARGV[6], 'provider', ARGV[7], messages, spend, '', ARGV[4], now) end
end
local function text(number) return string.format('%.0f', number) end
return {'charged', charge[3], text(charge[1]), text(charge[5]), text(charge[2]), charge[6], alert, messages, text(spend)}
