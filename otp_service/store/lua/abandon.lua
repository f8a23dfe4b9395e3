-- abandon: undoes a `start` whose reply was lost, and prevents one that has not arrived yet.
-- KEYS  1 recipient  2 verification  3 its message  4 outbox of the partition  5 flag that the id is abandoned
--       6 index of the recipient  7 stored response under the request's idempotency key, if it has one
-- ARGV  1 id  2 TTL of the flag, ms: longer than a delayed `start` may take
-- returns {'absent'}: it had not started, and never will
--         {'removed'}: it had started and is deleted; nothing was sent
--         {'sending'}: a gateway may have the message; nothing is changed
-- Invariant: after 'absent' and 'removed' no message is sent for this id, and its send is an open reservation again,
--            which the caller must release.
-- Reaches by template: the events whose index the record names, in the slot of KEYS.
--@include _clock _ttl _record _delivery _window _recipient _recipient_index _events _verification_events
local now = now_ms()
local record = read_record(KEYS[2], now)
if record and count_other_texts(record, '') > 0 then return {'sending'} end
redis.call('SET', KEYS[5], '', 'PX', ARGV[2])
if not record then return {'absent'} end

redis.call('DEL', KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.pcall('ZREM', KEYS[6], index_member('v', record[TENANT], ARGV[1]))
if KEYS[7] then
  redis.call('DEL', KEYS[7])
  redis.pcall('ZREM', KEYS[6], index_member('i', record[TENANT], response_name(KEYS[7])))
end
local field = chain_field(record[TENANT], record[PURPOSE])
local chain = read_chain(KEYS[1], field)
chain.open = chain.open + 1
if chain.id == ARGV[1] then chain.id = '' end
write_chain(KEYS[1], field, chain)
withdraw_events(record, ARGV[1], {'r'})
extend_ttl(KEYS[1], now + RESERVATION_TTL_MS, now)
return {'removed'}
