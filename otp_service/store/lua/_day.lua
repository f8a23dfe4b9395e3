-- What was handed over today (UTC): a hash with the day, the messages and the money in millionths.
local DAY_MS = 86400000

local function today(key, now)
  local kept = redis.call('HMGET', key, 'day', 'messages', 'spend')
  local day = math.floor(now / DAY_MS)
  if tonumber(kept[1] or -1) ~= day then return day, 0, 0 end
  return day, tonumber(kept[2]), tonumber(kept[3])
end

-- Caps come as text, '' for none. Blocked: one more message at this price would pass one of them.
local function blocked(messages, spend, price, message_cap, spend_cap)
  if message_cap ~= '' and messages + 1 > tonumber(message_cap) then return true end
  return spend_cap ~= '' and spend + price > tonumber(spend_cap)
end

local function until_tomorrow(now)
  return DAY_MS - now % DAY_MS
end
