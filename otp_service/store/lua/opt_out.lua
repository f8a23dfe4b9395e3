-- opt_out: opts a number out or in, once for each inbound message.
-- KEYS  1 opted-out numbers of the partition  2 flag that the inbound message was handled, if there is one
-- ARGV  1 recipient  2 'opt_out', 'opt_in' or '': only the flag  3 TTL of an opt-out, ms  4 TTL of the flag, ms
-- returns {'changed'} {'unchanged'}: it was so before, or nothing is asked for
--         {'known'}: the message was handled before, and nothing was done
-- Invariant: of N parallel calls for the same message one has an effect. An opt-out is renewed by each further one.
--@include _clock _ttl
local now = now_ms()
if KEYS[2] and not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[4]) then return {'known'} end
if ARGV[2] == '' then return {'unchanged'} end
local was_out = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0) > now
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now))
if ARGV[2] == 'opt_out' then
  local ends = now + tonumber(ARGV[3])
  redis.call('ZADD', KEYS[1], string.format('%d', ends), ARGV[1])
  extend_ttl(KEYS[1], ends, now)
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return {was_out == (ARGV[2] == 'opt_out') and 'unchanged' or 'changed'}
