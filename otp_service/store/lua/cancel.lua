-- cancel: ends a pending verification at its tenant's request.
-- KEYS  1 verification  2 its message  3 outbox of the partition
-- ARGV  1 id  2 tenant  3 ids of the keys that the caller has (packed)
-- returns {'found', now, record}: the record after the call
--         {'not_found'}
--         {'unreadable'}: the caller has no key for the record, so nothing was changed
-- Invariant: the first end stays; a repeated call changes nothing.
--@include _clock _record
local now = now_ms()
local record = read_record(KEYS[1], now)
if not record or record[TENANT] ~= ARGV[2] then return {'not_found'} end
if not has_key_of(record, cmsgpack.unpack(ARGV[3])) then return {'unreadable'} end
if record_status(record, now) == 'pending' then
  end_verification(KEYS[1], record, 'canceled', now, KEYS[2], KEYS[3], ARGV[1])
end
return {'found', now, cmsgpack.pack(record)}
