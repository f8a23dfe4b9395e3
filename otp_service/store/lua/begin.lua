-- begin: the last look before a gateway is called; from here on a lost answer is an ambiguous outcome.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 the lease's number  3 provider  4 max_texts  5 ms until the call is given up for lost
--       6 '1': the gateway sends a message that it knows only once, so it may be asked again when it may have the text
-- returns {'go', now}
--         {'lost'}: somebody else has the lease  {'ended'}: nothing may be sent any more
--         {'used_up'}: texts = max_texts, this gateway has the text, or another one surely does
-- Invariant: no more than max_texts gateways may have accepted one message; a gateway that may have it is not asked
--            again; an ended code is never sent. Said again under the same lease, because the reply was lost, it is one
--            call.
--@include _clock _record _delivery
local now = now_ms()
local lease = tonumber(ARGV[2])
local record = record_of(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
if record[LEASE] ~= lease then return {'lost'} end
if status_of(record, now) ~= 'pending' or redis.call('EXISTS', KEYS[2]) == 0 then
  close_deliveries(record)
  record_store(KEYS[1], record)
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
local delivery = delivery_of(record, ARGV[3])
local again = delivery[2] == 'sending' and delivery[6] == lease
local repeated = delivery[2] == 'unknown' and ARGV[6] == '1'
if MAY_HAVE[delivery[2]] and not again and not repeated then return {'used_up'} end
if texts_elsewhere(record, ARGV[3]) >= tonumber(ARGV[4]) or is_with_other(record, ARGV[3]) then return {'used_up'} end

if not again then delivery[9] = repeated end
if not delivery[9] then delivery[8] = 0 end
delivery[2], delivery[3], delivery[6], delivery[7] = 'sending', now, lease, 0
record_store(KEYS[1], record)
redis.call('ZADD', KEYS[3], 'XX', string.format('%d', now + tonumber(ARGV[5])), ARGV[1])
return {'go', now}
