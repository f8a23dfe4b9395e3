-- read: reads a verification.
-- KEYS  1 verification
-- ARGV  1 tenant
-- returns {'found', now, record} or {'not_found'}
-- Invariant: another tenant's verification is not found.
--@include _clock _record
local now = now_ms()
local record = read_record(KEYS[1], now)
if not record or record[TENANT] ~= ARGV[1] then return {'not_found'} end
return {'found', now, cmsgpack.pack(record)}
