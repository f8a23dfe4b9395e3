-- withdraw: undoes a `reserve` whose reply was lost, if it ran.
-- KEYS  1 recipient
-- ARGV  1 tenant  2 purpose  3 token of the reservation
-- returns {'released'}, or {'gone'}: it never ran, or later reservations exist
-- Invariant: no cooldown gets shorter: the time before the reservation is unknown, but its cooldown had passed.
--@include _window _recipient
local field = chain_field(ARGV[1], ARGV[2])
local chain, packed = read_chain(KEYS[1], field)
if packed == '' or chain.token ~= ARGV[3] then return {'gone'} end

-- Fields are set before any is deleted: a hash that loses its last field is deleted, and would come back without a TTL.
local obsolete_fields = {}
local log = log_remove(redis.call('HGET', KEYS[1], 's') or '', chain.last)
if log ~= '' then
  redis.call('HSET', KEYS[1], 's', log)
else
  obsolete_fields[1] = 's'
end
chain.last, chain.sends, chain.token = 0, math.max(0, chain.sends - 1), ''
chain.open = math.max(0, chain.open - 1)
if chain.sends > 0 or chain.id ~= '' then
  write_chain(KEYS[1], field, chain)
else
  obsolete_fields[#obsolete_fields + 1] = field
end
if obsolete_fields[1] then redis.call('HDEL', KEYS[1], unpack(obsolete_fields)) end
return {'released'}
