-- begin: the last look before a gateway is called; from here on a lost answer is an ambiguous outcome.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 the lease's number  3 provider  4 max_texts  5 ms until the call is given up for lost
-- returns {'go', now}
--         {'lost'}: somebody else has the lease  {'ended'}: nothing may be sent any more  {'used_up'}: texts = max_texts
-- Invariant: no more than max_texts gateways may have accepted one message; an ended code is never sent. Said again
--            of one provider under the same lease, because the reply was lost, it counts once.
--@include _clock _record _delivery
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
if record[LEASE] ~= tonumber(ARGV[2]) then return {'lost'} end
if status_of(record, now) ~= 'pending' or redis.call('EXISTS', KEYS[2]) == 0 then
  close_deliveries(record)
  record_store(KEYS[1], record)
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
local delivery = delivery_of(record, ARGV[3])
local again = record[PHASE] == 'sending' and delivery[2] == 'sending'
if not again and record[TEXTS] >= tonumber(ARGV[4]) then return {'used_up'} end

delivery[2], delivery[3] = 'sending', now
record[PHASE] = 'sending'
if not again then record[TEXTS] = record[TEXTS] + 1 end
record_store(KEYS[1], record)
redis.call('ZADD', KEYS[3], 'XX', string.format('%d', now + tonumber(ARGV[5])), ARGV[1])
return {'go', now}
