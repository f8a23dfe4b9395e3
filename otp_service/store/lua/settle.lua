-- settle: writes down what became of a call, and what is to happen next.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 the lease's number  3 provider  4 delivery status  5 error, '' for none  6 the gateway's message id
--       7 '1': the gateway surely has no text of ours  8 ms until the entry is due again, '' when it is done
--       9 '1': the code is not needed any more
-- returns {'settled'}
--         {'late'}: the lease was somebody else's, or the verification has ended; only the fact was added
--         {'gone'}
-- Invariant: a late settle never schedules, and never takes back a fact that is better known. Of what has ended no
--            delivery stays queued.
--@include _clock _record _delivery
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'gone'}
end
local mine = record[LEASE] == tonumber(ARGV[2])
local waiting = redis.call('ZSCORE', KEYS[3], ARGV[1])
local delivery = delivery_of(record, ARGV[3])
local told = delivery[2] == 'delivered' or delivery[2] == 'undelivered'  -- a receipt was faster than the answer
if not told and (mine or delivery[2] == 'sending' or delivery[2] == 'unknown' or delivery[2] == 'queued') then
  if delivery[2] ~= ARGV[4] or delivery[4] ~= ARGV[5] then delivery[3] = now end  -- one that rests keeps its moment
  delivery[2], delivery[4] = ARGV[4], ARGV[5]
end
if ARGV[6] ~= '' then delivery[5] = ARGV[6] end
local ended = status_of(record, now) ~= 'pending'
if ended then
  close_queued(record, true)
  if mine then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('DEL', KEYS[2])
  end
end
if ended or not mine or not waiting then
  record_store(KEYS[1], record)
  return {'late'}
end

if ARGV[7] == '1' and record[PHASE] == 'sending' then record[TEXTS] = record[TEXTS] - 1 end
if delivery[2] == 'undelivered' and told then
  record[PHASE] = 'queued'
  redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
elseif ARGV[8] == '' then
  close_queued(record, true)
  redis.call('ZREM', KEYS[3], ARGV[1])
  if ARGV[9] == '1' then redis.call('DEL', KEYS[2]) end
else
  record[PHASE] = 'queued'
  redis.call('ZADD', KEYS[3], string.format('%d', now + tonumber(ARGV[8])), ARGV[1])
end
record_store(KEYS[1], record)
return {'settled'}
