-- charge: counts one message and its price in the daily usage, unless a cap blocks it.
-- KEYS  1 daily usage of a provider or a tenant
-- ARGV  1 price in millionths  2 message cap, '' for none  3 spend cap in millionths, '' for none
--       4 '1': the caps block  5 alert threshold, a share of a cap
-- returns {'charged', now, messages today, spend today, '1' if this charge crossed the alert threshold}
--         {'capped', now, ms until tomorrow}: nothing was counted
-- Invariant: of N parallel charges at a blocking cap of C exactly C are charged.
--@include _clock _ttl _daily_usage
local now = now_ms()
local price, message_cap, spend_cap = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local day, messages, spend = usage_today(KEYS[1], now)
if ARGV[4] == '1' and exceeds_cap(messages, spend, price, message_cap, spend_cap) then
  return {'capped', now, ms_until_tomorrow(now)}
end

local function crosses_threshold(cap, before, after)
  if cap == '' then return false end
  local threshold = tonumber(cap) * tonumber(ARGV[5])
  return before < threshold and after >= threshold
end
local alert = crosses_threshold(message_cap, messages, messages + 1)
  or crosses_threshold(spend_cap, spend, spend + price)
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'day', day, 'messages', messages + 1, 'spend', string.format('%.0f', spend + price))
extend_ttl(KEYS[1], now + 2 * DAY_MS, now)
return {'charged', now, messages + 1, spend + price, alert and '1' or ''}
