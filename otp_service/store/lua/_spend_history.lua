-- What was spent at a provider on one day (UTC): a hash, named by a prefix and the days since 1970, with two fields for
-- each group of messages (country, currency and tenant):
--   m:<group>   messages handed over     s:<group>   their price in millionths of the currency
-- It expires when the day is older than the last 31 days before today.
local HISTORY_DAYS = 32

local function add_to_field(key, field, number)
  local reply = redis.pcall('HINCRBY', key, field, string.format('%.0f', number))
  if type(reply) == 'table' and reply.err then  -- unreadable: the sum starts again
    if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
    redis.call('HSET', key, field, string.format('%.0f', number))
  end
end

-- Adds to the sums of the day that contains `at_ms`; a day that is not kept any more is left alone.
local function add_to_history(prefix, group, at_ms, messages, spend, now)
  local day = math.floor(at_ms / DAY_MS)
  local ends_at = (day + HISTORY_DAYS) * DAY_MS
  if ends_at <= now then return end
  local key = prefix .. string.format('%d', day)
  if messages ~= 0 then add_to_field(key, 'm:' .. group, messages) end
  if spend ~= 0 then add_to_field(key, 's:' .. group, spend) end
  extend_ttl(key, ends_at, now)
end
