-- Messages and money of one day (UTC) of a provider, a tenant or a country: a hash with the fields
--   day   days since 1970     messages   messages handed over     spend   their price in millionths of the currency
--   held  until when the last charge may be refunded, because another cap can still refuse its message, ms
local DAY_MS = 86400000
local UNREADABLE = 2 ^ 52  -- more than any cap
local HELD_MS = 1000  -- longer than a message takes to be charged at all its caps
local HELD_POLL_MS = 100

-- Returns {day, messages, spend, held_until} of today, and `is_damaged` for a key of another type. Values that cannot
-- be read count as more than any cap: money that may have been spent is not spent again. If the clock went back over
-- midnight, as after a failover, today stays the day that had begun: it has one cap.
local function usage_today(key, now)
  local stored = redis.pcall('HMGET', key, 'day', 'messages', 'spend', 'held')
  local day = math.floor(now / DAY_MS)
  if stored.err then  -- not a hash: it expires at the end of the day
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, string.format('%d', (day + 1) * DAY_MS)) end
    return {day = day, messages = UNREADABLE, spend = UNREADABLE, held_until = 0, is_damaged = true}
  end
  local stored_day, held_until = tonumber(stored[1] or -1), tonumber(stored[4]) or 0
  if stored_day ~= day and stored_day ~= day + 1 then
    return {day = day, messages = 0, spend = 0, held_until = 0}
  end
  if held_until > now + HELD_MS then held_until = 0 end  -- the clock went back
  local messages, spend = tonumber(stored[2]) or UNREADABLE, tonumber(stored[3]) or UNREADABLE
  return {day = stored_day, messages = messages, spend = spend, held_until = held_until}
end

-- Whether one more message at this price would exceed a cap. Caps are text, '' for none.
local function exceeds_cap(usage, price, message_cap, spend_cap)
  if message_cap ~= '' and usage.messages + 1 > tonumber(message_cap) then return true end
  return spend_cap ~= '' and usage.spend + price > tonumber(spend_cap)
end

local function ms_until_tomorrow(now)
  return DAY_MS - now % DAY_MS
end

-- Returns the reply for a message at a cap: until tomorrow, or for a moment while the last charge may be refunded.
local function capped_reply(held_until, now)
  if held_until > now then return {'held', now, HELD_POLL_MS} end
  return {'capped', now, ms_until_tomorrow(now)}
end

local function crosses_threshold(cap, threshold, before, after)
  return cap ~= '' and before < tonumber(cap) * threshold and after >= tonumber(cap) * threshold
end

-- Counts one message in `usage`, which is that of today. `held`: another cap can still refuse it. Returns the messages
-- and the spend of today, and '1' if this charge crossed the alert threshold of a cap.
local function add_usage(key, usage, now, price, message_cap, spend_cap, threshold, held)
  local messages, spend, held_until = usage.messages, usage.spend, usage.held_until
  local alert = crosses_threshold(message_cap, threshold, messages, messages + 1)
    or crosses_threshold(spend_cap, threshold, spend, spend + price)
  if held then held_until = now + HELD_MS end
  if usage.is_damaged then redis.call('DEL', key) end
  redis.call('HSET', key, 'day', usage.day, 'messages', messages + 1, 'spend', string.format('%.0f', spend + price),
    'held', string.format('%.0f', held_until))
  extend_ttl(key, now + 2 * DAY_MS, now)
  return messages + 1, spend + price, alert and '1' or ''
end

-- Removes one message of this price. Returns false, and changes nothing, if it was not counted today.
local function remove_usage(key, now, price, charged_ms)
  local usage = usage_today(key, now)
  if usage.messages == 0 or usage.messages >= UNREADABLE then return false end
  if math.floor(charged_ms / DAY_MS) ~= usage.day then return false end
  local spend = string.format('%.0f', math.max(0, usage.spend - price))
  redis.call('HSET', key, 'messages', usage.messages - 1, 'spend', spend)
  return true
end

-- Changes the price of a message that was counted at `charged_ms`. Returns nothing if that was not today, else the
-- messages and the spend of today, and '1' if this change crossed the alert threshold of the spend cap.
local function change_usage(key, now, difference, charged_ms, spend_cap, threshold)
  local usage = usage_today(key, now)
  if math.floor(charged_ms / DAY_MS) ~= usage.day or redis.call('EXISTS', key) == 0 then return end
  if usage.spend >= UNREADABLE then return end
  local after = math.max(0, usage.spend + difference)
  redis.call('HSET', key, 'spend', string.format('%.0f', after))
  return usage.messages, after, crosses_threshold(spend_cap, threshold, usage.spend, after) and '1' or ''
end
