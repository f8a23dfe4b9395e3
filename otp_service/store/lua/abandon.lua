-- abandon: makes sure that nothing comes of a `start` whose answer was lost.
-- KEYS  1 the recipient  2 the verification  3 its message  4 the outbox of the partition  5 the mark of an abandoned id
--       6 the answer under the request's idempotency key, if it has one
-- ARGV  1 id  2 ms that the mark stands: longer than a delayed `start` may come
-- returns {'absent'}: it had not started, and never will  {'removed'}: it had, and is gone; nothing was sent
--         {'begun'}: a gateway may have its text; everything stays as it is
-- Invariant: after 'absent' and 'removed' no text goes out for this id, and its send is one that is to be released.
--@include _clock _ttl _record _delivery _window _recipient
local now = now_ms()
local record = record_of(KEYS[2], now)
if record and texts_elsewhere(record, '') > 0 then return {'begun'} end
redis.call('SET', KEYS[5], '', 'PX', ARGV[2])
if not record then return {'absent'} end

redis.call('DEL', KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
if KEYS[6] then redis.call('DEL', KEYS[6]) end
local field = chain_field(record[TENANT], record[PURPOSE])
local chain = chain_of(KEYS[1], field)
chain.running = chain.running + 1  -- it is a reservation again, which is to be released
if chain.id == ARGV[1] then chain.id = '' end
chain_store(KEYS[1], field, chain)
extend_ttl(KEYS[1], now + STALLED_MS, now)
return {'removed'}
