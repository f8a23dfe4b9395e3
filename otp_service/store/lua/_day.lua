-- What was handed over today (UTC): a hash with the day, the messages and the money in millionths.
local DAY_MS = 86400000
local UNREADABLE = 2 ^ 52

local function today(key, now)
  local kept = redis.pcall('HMGET', key, 'day', 'messages', 'spend')
  local day = math.floor(now / DAY_MS)
  if kept.err then  -- no hash: it is gone tomorrow
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, string.format('%d', (day + 1) * DAY_MS)) end
    return day, UNREADABLE, UNREADABLE
  end
  if tonumber(kept[1] or -1) ~= day then return day, 0, 0 end
  -- What cannot be read is taken for more than any cap: money that may have been spent is not spent again.
  return day, tonumber(kept[2]) or UNREADABLE, tonumber(kept[3]) or UNREADABLE
end

-- Caps come as text, '' for none. Blocked: one more message at this price would pass one of them.
local function blocked(messages, spend, price, message_cap, spend_cap)
  if message_cap ~= '' and messages + 1 > tonumber(message_cap) then return true end
  return spend_cap ~= '' and spend + price > tonumber(spend_cap)
end

local function until_tomorrow(now)
  return DAY_MS - now % DAY_MS
end
