-- guard_acquire: counts one request for a code at a scope of the guard, and returns the counts with it.
-- KEYS  1 breaker of the scope
-- ARGV  1 key prefix of the scope  2 '1': a decoy, which is not sent; 'r': a code that another product has made, of which
--         only the number counts, in a class of its own  3 hours of the window
--       4 window of the breaker, ms  5 time between probes, ms
--       6 shard and 7 member of the number among the known ones; '': all numbers are in one class
--       8 tag of the number (4 bytes)  9 window of different numbers, s  10 how many are kept; with shard only
--       11... levels; the last one is the block, with shard only
-- Reaches by template: the buckets, the known numbers and the numbers of blocks of the scope, in the slot of KEYS.
-- returns {now, 'n' | 'k' | 'r', different numbers of the block, 1 if this one was added, since, sent, verified, until, opened,
--          next probe, probes sent, probes verified, 1 if this is a probe, then the counts of `read_counts`}
-- Invariant: N parallel calls return N different counts, so exactly N of them are within a limit of N.
--@include _clock _ttl _guard_buckets _guard_numbers _guard_breaker
local MAX_BLOCKS = 2000  -- whose numbers are kept for an hour
local now, prefix, sent = now_ms(), ARGV[1], ARGV[2] == '0' and 1 or 0
local levels = {unpack(ARGV, 11)}
local class, numbers, is_added = ARGV[2] == 'r' and 'r' or 'n', 0, false
if ARGV[6] ~= '' then
  local period = math.floor(now / KNOWN_PERIOD_MS)
  for _, one in ipairs({period, period - 1}) do
    if class ~= 'r' and redis.pcall('SISMEMBER', known_key(prefix, one, ARGV[6]), ARGV[7]) == 1 then class = 'k' end
  end
  local hour, field = math.floor(now / HOUR_MS), class .. levels[#levels]
  local key, before = numbers_key(prefix, hour), numbers_key(prefix, hour - 1)
  if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
  local log = redis.call('HGET', key, field)
  local last = not log and redis.pcall('HGET', before, field)
  local added
  added, numbers, is_added = add_number(log or (type(last) == 'string' and last) or '', ARGV[8], math.floor(now / 1000),
    tonumber(ARGV[9]), tonumber(ARGV[10]))
  if log or redis.call('HLEN', key) < MAX_BLOCKS then
    redis.call('HSET', key, field, added)
    extend_ttl(key, (hour + 2) * HOUR_MS, now)
  else
    is_added = false
  end
end
if sent == 1 then
  for _, level in ipairs(levels) do add_counts(prefix, now, 's', class, level, 1, now) end
end
local breaker, is_probe = read_breaker(KEYS[1], now), false
if class == 'n' then
  is_probe = count_at_breaker(breaker, sent, tonumber(ARGV[4]), tonumber(ARGV[5]), now)
  write_breaker(KEYS[1], breaker, now)
end
local reply = {now, class, numbers, is_added and 1 or 0}
for _, field in ipairs(BREAKER_FIELDS) do reply[#reply + 1] = breaker[field] end
reply[#reply + 1] = is_probe and 1 or 0
local counts = read_counts(prefix, now, class, levels, tonumber(ARGV[3]))
for _, count in ipairs(counts) do reply[#reply + 1] = count end
return reply
