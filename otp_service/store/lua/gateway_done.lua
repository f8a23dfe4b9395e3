-- gateway_done: a call has ended, or was not made after all.
-- KEYS  1 the circuit  2 the calls under way
-- ARGV  1 message id
--       2 'good' | 'bad': by rate | 'shut': at once | 'none': says nothing about the gateway
--       3 why it is shut  4 for how long it is opened, ms, doubled each time in a row  5 and at most for how long
--       6 ms for which the gateway asked to be left alone, 0: it did not
-- returns {'closed' | 'open', '1' if this call opened it}
-- Invariant: a probe that succeeds closes the circuit, one that fails opens it for longer.
--@include _clock _circuit
local now = now_ms()
local verdict, base, longest, rest = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('ZREM', KEYS[2], ARGV[1])
local before = circuit_of(KEYS[1], now)
local told_so = before == 'open' and redis.call('HGET', KEYS[1], 'why') == ARGV[3]  -- one trip, however many calls say it
if verdict == 'shut' and not told_so then
  circuit_open(KEYS[1], now, ARGV[3], base, longest)
elseif before == 'probing' or before == 'half' then
  if verdict == 'good' then circuit_close(KEYS[1]) end
  if verdict == 'bad' then circuit_open(KEYS[1], now, 'transient', base, longest) end
  local is_probe = redis.call('HGET', KEYS[1], 'by') == ARGV[1]
  if verdict == 'none' and is_probe then redis.call('HDEL', KEYS[1], 'probe', 'by') end
elseif before == 'closed' and verdict ~= 'none' then
  circuit_count(KEYS[1], now, verdict == 'bad', base, longest)
end
if rest > 0 then
  redis.call('HSET', KEYS[1], 'rest', string.format('%.0f', now + rest))
  live_until(KEYS[1], now + rest + WINDOW_MS, now)
end
local after = circuit_of(KEYS[1], now)
return {after == 'open' and 'open' or 'closed', after == 'open' and before ~= 'open' and '1' or ''}
