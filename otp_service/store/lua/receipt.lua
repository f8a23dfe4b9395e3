-- receipt: writes down what a gateway itself tells of a message, long after the call.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 provider  3 'delivered', 'undelivered' or '': on its way  4 error, ''  5 the gateway's message id, ''
--       6 the recipient that it speaks of, '' when it names none
-- returns {'noted'}, {'known'}: the last word was said before, {'unknown'}: no such message, or that gateway was not
--         asked, {'other'}: it speaks of somebody else
-- Invariant: the last word is never undone. What was not delivered, while it is wanted, is due at once.
--@include _clock _ttl _record _delivery
local now = now_ms()
local record = record_of(KEYS[1], now)
local delivery = record and delivery_at(record, ARGV[2])
if not delivery or not (MAY_HAVE[delivery[2]] or delivery[6] > 0) then return {'unknown'} end
if ARGV[6] ~= '' and ARGV[6] ~= record[RECIPIENT] then return {'other'} end
if is_told(delivery) or delivery[2] == 'failed' then return {'known'} end

if ARGV[5] ~= '' then delivery[5] = ARGV[5] end
if ARGV[3] ~= '' then
  delivery[2], delivery[3], delivery[4] = ARGV[3], now, ARGV[4]
  if delivery[2] == 'delivered' then
    close_queued(record, nil)
    if not has(record, 'sending') then redis.call('ZREM', KEYS[3], ARGV[1]) end
    if not record[KEEPS_CODE] then redis.call('DEL', KEYS[2]) end
  elseif status_of(record, now) == 'pending' and redis.call('EXISTS', KEYS[2]) == 1 and not has(record, 'sending') then
    redis.call('ZADD', KEYS[3], string.format('%d', now), ARGV[1])
    extend_ttl(KEYS[3], record[EXPIRES] + READABLE_AFTER_END, now)
  end
end
record_store(KEYS[1], record)
return {'noted'}
