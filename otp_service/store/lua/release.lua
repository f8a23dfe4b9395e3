-- release: gives back what `reserve` took, when something else denied the request.
-- KEYS  1 the recipient
-- ARGV  1 tenant  2 purpose  3 the reservation's moment  4 the chain before, as `reserve` returned it
-- returns {'released'} or {'gone'}
-- Invariant: a later reservation is left as it is; without one, everything is as it was before. A success meanwhile has
--            begun a new chain, in which this send counts as running: there it is given back.
--@include _window _recipient
local moment = tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end

-- Fields are set before any is deleted: a hash that had lost its last one would come back without a life.
local field = chain_field(ARGV[1], ARGV[2])
local chain = chain_of(KEYS[1], field)
local forget = {}
chain.sends = math.max(0, chain.sends - 1)
chain.running = math.max(0, chain.running - 1)
if chain.last == moment then
  local older = ARGV[4] ~= '' and cmsgpack.unpack(ARGV[4]) or {0, 0, 0}
  chain.last, chain.ends, chain.token = older[1], older[3], older[5] or ''
end
if chain.last == 0 and chain.sends == 0 and chain.id == '' then
  forget[1] = field
else
  chain_store(KEYS[1], field, chain)
end

local log = log_remove(redis.call('HGET', KEYS[1], 's') or '', moment)
if log ~= '' then
  redis.call('HSET', KEYS[1], 's', log)
else
  forget[#forget + 1] = 's'
end
if forget[1] then redis.call('HDEL', KEYS[1], unpack(forget)) end
return {'released'}
