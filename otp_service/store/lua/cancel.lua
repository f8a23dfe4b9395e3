-- cancel: ends a pending verification at its tenant's wish.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
-- ARGV  1 id  2 tenant  3 the ids of the keys that the caller can read with (packed)
-- returns {'read', now, the record} as it is afterwards, or {'unknown'}
--         {'unreadable'}: the caller could not tell how it stands, so nothing was changed
-- Invariant: the first end wins; a repeated call changes nothing.
--@include _clock _record
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record or record[TENANT] ~= ARGV[2] then return {'unknown'} end
if not is_readable(record, cmsgpack.unpack(ARGV[3])) then return {'unreadable'} end
if status_of(record, now) == 'pending' then
  record_end(KEYS[1], record, 'canceled', now, KEYS[2], KEYS[3], ARGV[1])
end
return {'read', now, cmsgpack.pack(record)}
