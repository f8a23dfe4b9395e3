-- charge: counts one message and its price in the daily usage, unless a cap blocks it.
-- KEYS  1 daily usage of a tenant or a country  2 changed price of the charge
-- ARGV  1 price in millionths  2 message cap, '' for none  3 spend cap in millionths, '' for none
--       4 '1': the caps block  5 alert threshold, a share of a cap  6 '1': another cap can still refuse the message
--       7 time of the charge at the provider, ms
--       where the operator gets events: 8 targets (packed)  9 'tenant' or 'country'  10 its name
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'charged', now, messages today, spend today, '1' if this charge crossed the alert threshold}
--         {'capped', now, ms until tomorrow}: nothing was counted
--         {'held', now, ms}: nothing was counted, but the message that reached the cap may still be refused
-- Invariant: of N parallel charges at a blocking cap of C exactly C are charged.
--@include _clock _ttl _daily_usage _message_charge
local now = now_ms()
local price, message_cap, spend_cap = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local usage = usage_today(KEYS[1], now)
if ARGV[4] == '1' and exceeds_cap(usage, price, message_cap, spend_cap) then
  return capped_reply(usage.held_until, now)
end
local is_other_day = math.floor(tonumber(ARGV[7]) / DAY_MS) ~= math.floor(now / DAY_MS)
if is_other_day then write_charge(KEYS[2], {price, 0, now}) end  -- a change of the price names the provider's time only
local messages, spend, alert =
  add_usage(KEYS[1], usage, now, price, message_cap, spend_cap, tonumber(ARGV[5]), ARGV[6] == '1')
if alert == '1' then
  --@include _events _cap_events
  emit_cap_near(ARGV[8], ARGV[9], ARGV[10], messages, spend, message_cap, spend_cap, now)
end
return {'charged', now, messages, string.format('%.0f', spend), alert}
