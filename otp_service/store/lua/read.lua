-- read: a verification as it stands.
-- KEYS  1 the verification
-- ARGV  1 tenant
-- returns {'read', now, the record} or {'unknown'}
--@include _clock _record
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record or record[TENANT] ~= ARGV[1] then return {'unknown'} end
return {'read', now, cmsgpack.pack(record)}
