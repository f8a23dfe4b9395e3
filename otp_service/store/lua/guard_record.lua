-- guard_record: adds decisions of the guard to the list that operators read.
-- KEYS  1 list of decisions, newest first
-- ARGV  1 how many are kept  2 for how long after the newest, ms  3... packed decisions, oldest first
-- returns {how many there are}
-- Invariant: the list never has more than ARGV 1 members.
--@include _clock _ttl
local now = now_ms()
if redis.call('TYPE', KEYS[1]).ok ~= 'list' then redis.call('DEL', KEYS[1]) end
for index = 3, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[index]) end
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[1]) - 1)
extend_ttl(KEYS[1], now + tonumber(ARGV[2]), now)
return {redis.call('LLEN', KEYS[1])}
