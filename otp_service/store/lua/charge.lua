-- charge: counts one message and its price against a day's caps.
-- KEYS  1 the day of a provider or a tenant
-- ARGV  1 price in millionths  2 message cap, '' for none  3 spend cap in millionths, '' for none
--       4 '1': a cap blocks   5 alert threshold, a share of a cap
-- returns {'charged', now, messages, spend, '1' if this charge crossed the threshold}
--         {'capped', now, ms until tomorrow}: nothing was counted
-- Invariant: N parallel charges at a cap of C that blocks: exactly C are charged.
--@include _clock _ttl _day
local now = now_ms()
local price, message_cap, spend_cap = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local day, messages, spend = today(KEYS[1], now)
if ARGV[4] == '1' and blocked(messages, spend, price, message_cap, spend_cap) then
  return {'capped', now, until_tomorrow(now)}
end

local function crossed(cap, before, after)
  if cap == '' then return false end
  local mark = tonumber(cap) * tonumber(ARGV[5])
  return before < mark and after >= mark
end
local alert = crossed(message_cap, messages, messages + 1) or crossed(spend_cap, spend, spend + price)
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'day', day, 'messages', messages + 1, 'spend', string.format('%.0f', spend + price))
extend_ttl(KEYS[1], now + 2 * DAY_MS, now)
return {'charged', now, messages + 1, spend + price, alert and '1' or ''}
