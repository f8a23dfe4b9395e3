-- spend_history: reads what was spent at a provider on one day.
-- KEYS  1 daily usage of the provider: a key in the same hash slot
-- ARGV  1 prefix of the spend history  2 how many days ago, 0: today
-- returns {days since 1970 of that day, field, number, field, number, ...}; see `_spend_history.lua`
-- Invariant: nothing is changed.
--@include _clock _ttl _daily_usage _spend_history
local day = math.floor(now_ms() / DAY_MS) - tonumber(ARGV[2])
local reply = redis.pcall('HGETALL', ARGV[1] .. string.format('%d', day))
if reply.err then reply = {} end
table.insert(reply, 1, day)
return reply
