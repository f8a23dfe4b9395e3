-- release: gives back what `reserve` took, when something else denied the request.
-- KEYS  1 the recipient
-- ARGV  1 tenant  2 purpose  3 the reservation's moment  4 the chain before, as `reserve` returned it
-- returns {'released'} or {'gone'}
-- Invariant: a later reservation is left as it is; without one, everything is as it was before.
--@include _window _recipient
local moment = tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end

-- Fields are set before any is deleted: a hash that had lost its last one would come back without a life.
local field = chain_field(ARGV[1], ARGV[2])
local chain = chain_of(KEYS[1], field)
local forget = {}
if chain.last == moment then
  if ARGV[4] ~= '' then
    local older = cmsgpack.unpack(ARGV[4])
    if chain.sends == 0 then older[2], older[3] = 0, 0 end  -- a success has ended the chain meanwhile
    older[4] = chain.id  -- who has started meanwhile is still the one to be superseded
    redis.call('HSET', KEYS[1], field, cmsgpack.pack(older))
  else
    forget[1] = field
  end
elseif chain.sends > 0 then
  chain.sends = chain.sends - 1
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
