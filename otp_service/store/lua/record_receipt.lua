-- record_receipt: stores what a gateway reports about a message after the call.
-- KEYS  1 verification  2 its message  3 outbox of the partition
-- ARGV  1 id  2 provider  3 'delivered', 'undelivered' or '': in transit  4 error, ''  5 the gateway's message id, ''
--       6 recipient that the receipt names, '' for none
--       7 the call that the receipt's URL names, '' for none  8 the part that it is about, '' for the whole message
-- returns {'noted'}
--         {'known'}: a final receipt came before
--         {'unknown'}: no such message, or the provider was not called for it
--         {'other'}: it names another recipient
--         {'earlier'}: it is about an earlier call to the provider
-- Invariant: a final receipt is never undone. An undelivered message that is still wanted is due at once. A message is
--            delivered when each of its parts is, and undelivered when one of them is.
-- Reaches by template: the events whose index the record names, in the slot of KEYS.
--@include _clock _ttl _record _delivery _events _verification_events
local now = now_ms()
local record = read_record(KEYS[1], now)
local delivery = record and find_delivery(record, ARGV[2])
if not delivery or not (MAY_HAVE_ACCEPTED[delivery[2]] or delivery[6] > 0) then return {'unknown'} end
if ARGV[6] ~= '' and ARGV[6] ~= record[RECIPIENT] then return {'other'} end
if is_of_earlier_call(delivery, tonumber(ARGV[7]), ARGV[5], ARGV[8]) then return {'earlier'} end
if has_final_receipt(delivery) or delivery[2] == 'failed' then return {'known'} end

local before, is_due = delivery_statuses(record), false
local is_part, is_final = ARGV[8] ~= '', ARGV[3] ~= ''
if ARGV[5] ~= '' and (not is_part or delivery[5] == '') then delivery[5] = ARGV[5] end
if is_part and ARGV[3] == 'delivered' then
  add_delivered_part(delivery, ARGV[8])
  is_final = has_all_parts(delivery)
end
if is_final then
  delivery[2], delivery[3], delivery[4] = ARGV[3], now, ARGV[4]
  if delivery[2] == 'delivered' then
    end_queued_deliveries(record, nil)
    if not has_delivery(record, 'sending') then redis.call('ZREM', KEYS[3], ARGV[1]) end
    if not record[KEEPS_CODE] then redis.call('DEL', KEYS[2]) end
  elseif record_status(record, now) == 'pending' and redis.call('EXISTS', KEYS[2]) == 1
    and not has_delivery(record, 'sending') then
    is_due = true
    redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
    extend_ttl(KEYS[3], record[EXPIRES] + READABLE_AFTER_END_MS, now)
  end
end
write_record(KEYS[1], record)
emit_delivery_events(record, ARGV[1], before, is_due, now)
return {'noted'}
