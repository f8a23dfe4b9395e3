-- opted_out: reads opt-outs of a partition.
-- KEYS  1 opted-out numbers of the partition
-- ARGV  1 recipient; '': count all
-- returns {when the recipient's opt-out ends, ms; 0: it is not opted out} or {count}
-- Invariant: nothing is written.
--@include _clock
local now = now_ms()
if ARGV[1] == '' then return {redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%d', now), '+inf')} end
local ends = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
return {ends > now and ends or 0}
