-- unreserve: takes back a reservation whose answer was lost, as far as it was made.
-- KEYS  1 the recipient
-- ARGV  1 tenant  2 purpose  3 the reservation's token
-- returns {'released'} or {'gone'}: it was never made, or others came after it
-- Invariant: no cooldown is made shorter: what passed `reserve` had waited for the one before.
--@include _window _recipient
local field = chain_field(ARGV[1], ARGV[2])
local chain, packed = chain_of(KEYS[1], field)
if packed == '' or chain.token ~= ARGV[3] then return {'gone'} end

-- Fields are set before any is deleted: a hash that had lost its last one would come back without a life.
local forget = {}
local log = log_remove(redis.call('HGET', KEYS[1], 's') or '', chain.last)
if log ~= '' then
  redis.call('HSET', KEYS[1], 's', log)
else
  forget[1] = 's'
end
chain.last, chain.sends, chain.token = 0, math.max(0, chain.sends - 1), ''
chain.running = math.max(0, chain.running - 1)
if chain.sends > 0 or chain.id ~= '' then
  chain_store(KEYS[1], field, chain)
else
  forget[#forget + 1] = field
end
if forget[1] then redis.call('HDEL', KEYS[1], unpack(forget)) end
return {'released'}
