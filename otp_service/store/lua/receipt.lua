-- receipt: adds what a gateway said of a message after it had taken it.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 provider  3 'delivered' | 'undelivered'  4 error, '' for none  5 the gateway's message id, ''
--       6 '1': the code is not needed once it is delivered
-- returns {'noted'} {'known'}: it had its last word already, or was never asked  {'gone'}
-- Invariant: a last word is not taken back. Undelivered while the code lives: the message is due again, at once.
--@include _clock _record
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then return {'gone'} end
local delivery
for _, one in ipairs(record[DELIVERIES]) do
  if one[1] == ARGV[2] then delivery = one end
end
if not delivery or (delivery[2] ~= 'sending' and delivery[2] ~= 'sent' and delivery[2] ~= 'unknown') then
  return {'known'}
end
local sending = delivery[2] == 'sending'
delivery[2], delivery[3], delivery[4] = ARGV[3], now, ARGV[4]
if ARGV[5] ~= '' then delivery[5] = ARGV[5] end
record_store(KEYS[1], record)
if sending then return {'noted'} end  -- whoever is calling sees it when it settles
if ARGV[3] == 'delivered' then
  redis.call('ZREM', KEYS[3], ARGV[1])
  if ARGV[6] == '1' then redis.call('DEL', KEYS[2]) end
elseif record[PHASE] ~= 'sending' and status_of(record, now) == 'pending' and redis.call('EXISTS', KEYS[2]) == 1 then
  record[PHASE] = 'queued'
  record_store(KEYS[1], record)
  redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
  live_until(KEYS[3], record[EXPIRES] + READABLE_AFTER_END, now)
end
return {'noted'}
