-- record_result: stores the result of a call, and when the message is due again.
-- KEYS  1 verification  2 its message  3 outbox of the partition
-- ARGV  1 id  2 lease
--       3 provider, '' when there is no result  4 lease under which the call began  5 delivery status  6 error, ''
--       7 the gateway's message id, ''  8 ms until the provider may be called again at the earliest, 0: any time
--       9 ms until the message is due again, '' when it is done  10 error of the providers that were never called then
--       11 '1': the message can never be due again, so its code is not needed any more
--       12 the gateway's ids of the parts of the message, if each has receipts of its own: a packed list
-- returns {'recorded'}
--         {'late'}: another replica has the lease, or the verification has ended; only the result was stored
--         {'gone'}
-- Invariant: a late result does not change when the message is due, and no result replaces a more certain one. The
--            result of an earlier call than the last one changes nothing. An ended verification has no queued delivery.
-- Reaches by template: the events whose index the record names, in the slot of KEYS.
--@include _clock _ttl _record _delivery
local now = now_ms()
local record = read_record(KEYS[1], now)
if not record then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {'gone'}
end
local has_lease = record[LEASE] == tonumber(ARGV[2])
local is_in_outbox = redis.call('ZSCORE', KEYS[3], ARGV[1])
local receipt_came_first, before = false, delivery_statuses(record)
if ARGV[3] ~= '' then
  local delivery = find_or_add_delivery(record, ARGV[3])
  local call = tonumber(ARGV[4])
  update_delivery(delivery, call, ARGV[5], ARGV[6], now)
  if call == delivery[6] or delivery[9] then
    local parts = cmsgpack.unpack(ARGV[12])
    if ARGV[7] ~= '' and (delivery[5] == '' or #parts > 0) then delivery[5] = ARGV[7] end
    name_parts(delivery, parts)
  end
  if not has_final_receipt(delivery) and has_all_parts(delivery) then
    delivery[2], delivery[3], delivery[4] = 'delivered', now, ''
  end
  receipt_came_first = has_final_receipt(delivery) and delivery[2] ~= ARGV[5]
  if delivery[2] == 'delivered' then end_queued_deliveries(record, nil) end
  if delivery[2] == 'sent' then end_queued_deliveries(record, nil) end
  if ARGV[8] ~= '0' and has_lease then delivery[7] = now + tonumber(ARGV[8]) end
end

local has_ended = record_status(record, now) ~= 'pending'
if has_ended then
  end_queued_deliveries(record, 'transient')
  if has_lease then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('DEL', KEYS[2])
  end
end
if has_ended or not has_lease or not is_in_outbox then
  if not has_ended and not is_in_outbox and has_delivery(record, 'queued') then
    -- The call counted as lost, and now it is known that nothing was sent.
    if redis.call('EXISTS', KEYS[2]) == 1 then
      redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
      extend_ttl(KEYS[3], record[EXPIRES] + READABLE_AFTER_END_MS, now)
    else
      end_queued_deliveries(record, 'transient')
    end
  end
  write_record(KEYS[1], record)
  if before then
    --@include _events _verification_events
    emit_delivery_events(record, ARGV[1], before, not has_ended, now)
  end
  return {'late'}
end

if receipt_came_first then  -- the receipt may change the next step: due at once
  redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
elseif ARGV[9] ~= '' then
  redis.call('ZADD', KEYS[3], string.format('%d', now + tonumber(ARGV[9])), ARGV[1])
else
  end_queued_deliveries(record, count_other_texts(record, '') == 0 and ARGV[10] or nil)
  redis.call('ZREM', KEYS[3], ARGV[1])
  if ARGV[11] == '1' and not record[KEEPS_CODE] then redis.call('DEL', KEYS[2]) end
end
write_record(KEYS[1], record)
if before then
  --@include _events _verification_events
  emit_delivery_events(record, ARGV[1], before, receipt_came_first or ARGV[9] ~= '', now)
end
return {'recorded'}
