-- begin: checks that a message may still be sent and sets its delivery to `sending`, right before the gateway is
-- called. From here on a lost response of the gateway is an ambiguous outcome.
-- KEYS  1 verification  2 its message  3 outbox of the partition
-- ARGV  1 id  2 lease  3 provider  4 max_texts  5 ms after which the call counts as lost
--       6 '1': the provider sends a repeated message once only, so it may be called again after an ambiguous outcome
--       7 channel of the call  8 ms for which an acceptance by another channel counts without a receipt, 0: always
--       9 number of parts that the text probably has
-- returns {'begun', now}
--         {'lost'}: another replica has the lease
--         {'ended'}: nothing may be sent any more
--         {'used_up'}: max_texts gateways may have accepted it, this gateway may have it, or another one has it (by
--             another channel: within the time that it has for a receipt)
-- Invariant: at most max_texts gateways accept one message. A gateway that may have it is not called again. An ended
--            code is never sent. A repeated `begin` under the same lease (its reply was lost) counts as one call.
-- Reaches by template: the events whose index the record names, in the slot of KEYS.
--@include _clock _ttl _record _delivery
local now = now_ms()
local lease = tonumber(ARGV[2])
local record = read_record(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
if record[LEASE] ~= lease then return {'lost'} end
if record_status(record, now) ~= 'pending' or redis.call('EXISTS', KEYS[2]) == 0 then
  --@include _events _verification_events
  local before = delivery_statuses(record)
  end_all_deliveries(record)
  write_record(KEYS[1], record)
  emit_delivery_events(record, ARGV[1], before, false, now)
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'ended'}
end
local delivery = find_or_add_delivery(record, ARGV[3])
local is_same_call = delivery[2] == 'sending' and delivery[6] == lease
local is_repeat = delivery[2] == 'unknown' and ARGV[6] == '1'
if MAY_HAVE_ACCEPTED[delivery[2]] and not is_same_call and not is_repeat then return {'used_up'} end
if count_other_texts(record, ARGV[3]) >= tonumber(ARGV[4])
  or is_accepted_elsewhere(record, ARGV[3], ARGV[7], tonumber(ARGV[8]), now) then
  return {'used_up'}
end

if not is_same_call and not is_repeat then
  delivery[5] = ''  -- that of an earlier call, which was definitely not sent
  local parts = tonumber(ARGV[9])
  set_parts(delivery, parts > 1 and parts or 0, {}, {})
end
if not is_same_call then delivery[9] = is_repeat end
if not delivery[9] then delivery[8] = 0 end
delivery[2], delivery[3], delivery[6], delivery[7], delivery[10] = 'sending', now, lease, 0, ARGV[7]
write_record(KEYS[1], record)
redis.call('ZADD', KEYS[3], 'XX', string.format('%d', now + tonumber(ARGV[5])), ARGV[1])
return {'begun', now}
