-- release: undoes a `reserve`, because another limit denied the request or it could not be completed.
-- KEYS  1 recipient
-- ARGV  1 tenant  2 purpose  3 time of the reservation, ms  4 the packed chain before it, as `reserve` returned it
-- returns {'released'} or {'gone'}
-- Invariant: a later reservation does not change; without one, all is as it was before. After a success in between, a
--            new chain counts this send as an open reservation, and it is removed there. A repeated call gives no send
--            back.
--@include _window _recipient
local reserved_at = tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end

-- Fields are set before any is deleted: a hash that loses its last field is deleted, and would come back without a TTL.
local field = chain_field(ARGV[1], ARGV[2])
local chain = read_chain(KEYS[1], field)
local obsolete_fields = {}
if chain.open > 0 then  -- without an open reservation this call repeats one whose reply was lost
  chain.sends = math.max(0, chain.sends - 1)
  chain.open = chain.open - 1
end
if chain.last == reserved_at then
  local before = ARGV[4] ~= '' and cmsgpack.unpack(ARGV[4]) or {0, 0, 0}
  chain.last, chain.ends, chain.token = before[1], before[3], before[5] or ''
end
if chain.last == 0 and chain.sends == 0 and chain.id == '' then
  obsolete_fields[1] = field
else
  write_chain(KEYS[1], field, chain)
end

local log = log_remove(redis.call('HGET', KEYS[1], 's') or '', reserved_at)
if log ~= '' then
  redis.call('HSET', KEYS[1], 's', log)
else
  obsolete_fields[#obsolete_fields + 1] = 's'
end
if obsolete_fields[1] then redis.call('HDEL', KEYS[1], unpack(obsolete_fields)) end
return {'released'}
