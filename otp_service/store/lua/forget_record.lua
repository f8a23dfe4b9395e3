-- forget_record: removes a verification if it is one of a recipient.
-- KEYS  1 verification  2 its message  3 outbox of the partition
-- ARGV  1 id  2 recipient  3 tenant, '' for any
-- returns {'removed'}, or {'kept'}: it is another recipient's or tenant's, or it cannot be read
-- Invariant: nothing of another recipient is changed.
--@include _clock _record
local packed = redis.pcall('GET', KEYS[1])
local unpacked, record = pcall(cmsgpack.unpack, packed)
if not unpacked or not is_record(record) or record[RECIPIENT] ~= ARGV[2] then return {'kept'} end
if ARGV[3] ~= '' and record[TENANT] ~= ARGV[3] then return {'kept'} end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return {'removed'}
