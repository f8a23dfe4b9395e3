-- conversion_counts: adds to the counts of one minute, and returns all of them.
-- KEYS  1 counts of a minute: a hash with a field for each provider, prefix and kind
-- ARGV  1 how long the counts are kept, ms  2 the most fields  then pairs of a field and a number to add
-- returns {now, field, count, field, count, ...}
-- Invariant: the hash never has more fields than ARGV 2; a field beyond them is not counted.
--@include _clock _ttl
local now = now_ms()
local key, keep_ms, max_fields = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
for index = 3, #ARGV, 2 do
  if redis.call('HLEN', key) < max_fields or redis.call('HEXISTS', key, ARGV[index]) == 1 then
    redis.call('HINCRBY', key, ARGV[index], ARGV[index + 1])
    extend_ttl(key, now + keep_ms, now)
  end
end
local counts = redis.call('HGETALL', key)
table.insert(counts, 1, now)
return counts
