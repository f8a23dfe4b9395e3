-- consume: turns a right guess into the one success.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
--       4 the answer under the guess' idempotency key, if it has one
-- ARGV  1 id  2, 3 what stands before the recipient's name, and before the name of its lock-out, in the keys of this
--       partition
--       4 the moment at which the guess was paid for: that of the success; '' for now
--       with an idempotency key: 5 the guess' fingerprint  6 the sealed answer of the success  7 its life, ms
-- Reaches by template: the recipient that the record names, and its lock-out at the tenant, in the slot of KEYS.
-- returns {'verified', the moment}: this call did it
--         {'unknown'} {'used' | 'superseded' | 'canceled' | 'expired'}: it had ended before
-- Invariant: of N right guesses exactly one is told 'verified'. A success clears the recipient's failures
--            and its lock-out, and begins a new chain, in which only the sends count that are still running.
--            Its answer is kept in the same step: who lost it may ask again, whoever died when.
--@include _clock _ttl _record _window _recipient _lockout _answer
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then return {'unknown'} end
if record[STATUS] == 'verified' then return {'used'} end
if record[STATUS] ~= 'pending' then return {record[STATUS]} end
if now >= record[EXPIRES] then return {'expired'} end

local moment = tonumber(ARGV[4]) or now
record_end(KEYS[1], record, 'verified', moment, KEYS[2], KEYS[3], ARGV[1])
if KEYS[4] then answer_store(KEYS[4], ARGV[5], ARGV[6], ARGV[7]) end
local recipient = ARGV[2] .. record[RECIPIENT]
redis.call('HDEL', recipient, 'f:' .. record[TENANT])
redis.call('DEL', lockout_key(ARGV[3], record[TENANT], record[RECIPIENT]))
local field = chain_field(record[TENANT], record[PURPOSE])
local chain = chain_of(recipient, field)
if chain.id == ARGV[1] then
  chain.id, chain.running = '', running_of(chain, now)
  chain.sends = chain.running
  if chain.running == 0 then chain.ends, chain.token = 0, '' end
  chain_store(recipient, field, chain)
end
return {'verified', moment}
