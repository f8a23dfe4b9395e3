-- Messages and money of one day (UTC) of a provider or a tenant: a hash with the fields
--   day   days since 1970     messages   messages handed over     spend   their price in millionths of the currency
local DAY_MS = 86400000
local UNREADABLE = 2 ^ 52  -- more than any cap

-- Returns today's number, messages and spend. Values that cannot be read count as more than any cap: money that may
-- have been spent is not spent again.
local function usage_today(key, now)
  local stored = redis.pcall('HMGET', key, 'day', 'messages', 'spend')
  local day = math.floor(now / DAY_MS)
  if stored.err then  -- not a hash: it expires at the end of the day
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIREAT', key, string.format('%d', (day + 1) * DAY_MS)) end
    return day, UNREADABLE, UNREADABLE
  end
  if tonumber(stored[1] or -1) ~= day then return day, 0, 0 end
  return day, tonumber(stored[2]) or UNREADABLE, tonumber(stored[3]) or UNREADABLE
end

-- Whether one more message at this price would exceed a cap. Caps are text, '' for none.
local function exceeds_cap(messages, spend, price, message_cap, spend_cap)
  if message_cap ~= '' and messages + 1 > tonumber(message_cap) then return true end
  return spend_cap ~= '' and spend + price > tonumber(spend_cap)
end

local function ms_until_tomorrow(now)
  return DAY_MS - now % DAY_MS
end
