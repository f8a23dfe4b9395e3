-- settle: writes down what became of a call, and what is to happen next.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 the lease's number
--       3 provider, '' when there is no news  4 the lease that the call was begun under  5 delivery status  6 error, ''
--       7 the gateway's message id, ''  8 ms until the provider may be asked again at the earliest, 0: no matter
--       9 ms until the entry is due again, '' when it is done  10 why those who were never asked have failed then
--       11 '1': nothing can bring the message back, so the code is not needed any more
-- returns {'settled'}
--         {'late'}: the lease was somebody else's, or the verification has ended; only the fact was added
--         {'gone'}
-- Invariant: a late settle moves nothing that waits, and no settle takes back a fact that is better known. Of what has ended
--            no delivery stays queued.
--@include _clock _ttl _record _delivery
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'gone'}
end
local mine = record[LEASE] == tonumber(ARGV[2])
local waiting = redis.call('ZSCORE', KEYS[3], ARGV[1])
local receipt_came = false
if ARGV[3] ~= '' then
  local delivery = delivery_of(record, ARGV[3])
  receipt_came = is_told(delivery) and delivery[2] ~= ARGV[5]
  delivery_learn(delivery, tonumber(ARGV[4]), ARGV[5], ARGV[6], now)
  if ARGV[7] ~= '' and delivery[5] == '' then delivery[5] = ARGV[7] end
  if delivery[2] == 'sent' then close_queued(record, nil) end
  if ARGV[8] ~= '0' and mine then delivery[7] = now + tonumber(ARGV[8]) end
end

local ended = status_of(record, now) ~= 'pending'
if ended then
  close_queued(record, 'transient')
  if mine then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('DEL', KEYS[2])
  end
end
if ended or not mine or not waiting then
  if not ended and not waiting and has(record, 'queued') then  -- given up for lost, and now it is known that it was not sent
    if redis.call('EXISTS', KEYS[2]) == 1 then
      redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
      extend_ttl(KEYS[3], record[EXPIRES] + READABLE_AFTER_END, now)
    else
      close_queued(record, 'transient')
    end
  end
  record_store(KEYS[1], record)
  return {'late'}
end

if receipt_came then  -- it was faster than this answer, and changes what is to be done: look again
  redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
elseif ARGV[9] ~= '' then
  redis.call('ZADD', KEYS[3], string.format('%d', now + tonumber(ARGV[9])), ARGV[1])
else
  close_queued(record, texts_elsewhere(record, '') == 0 and ARGV[10] or nil)
  redis.call('ZREM', KEYS[3], ARGV[1])
  if ARGV[11] == '1' and not record[KEEPS_CODE] then redis.call('DEL', KEYS[2]) end
end
record_store(KEYS[1], record)
return {'settled'}
