-- consume: turns a right guess into the one success.
-- KEYS  1 the verification  2 its message  3 the outbox of the partition
--       4 the answer under the guess' idempotency key, if it has one
-- ARGV  1 id  2 what stands before the recipient's name in the keys of this partition
--       3 the moment at which the guess was paid for: that of the success; '' for now
--       with an idempotency key: 4 the guess' fingerprint  5 the sealed answer of the success  6 its life, ms
-- Reaches by template: the recipient that the record names, in the slot of KEYS.
-- returns {'verified', the moment}: this call did it
--         {'unknown'} {'used' | 'superseded' | 'canceled' | 'expired'}: it had ended before
-- Invariant: of N right guesses exactly one is told 'verified'. A success clears the recipient's failures.
--            Its answer is kept in the same step: who lost it may ask again, whoever died when.
--@include _clock _record _window _recipient _answer
local now = now_ms()
local record = record_of(KEYS[1], now)
if not record then return {'unknown'} end
if record[STATUS] == 'verified' then return {'used'} end
if record[STATUS] ~= 'pending' then return {record[STATUS]} end
if now >= record[EXPIRES] then return {'expired'} end

local moment = tonumber(ARGV[3]) or now
record_end(KEYS[1], record, 'verified', moment, KEYS[2], KEYS[3], ARGV[1])
if KEYS[4] then answer_store(KEYS[4], ARGV[4], ARGV[5], ARGV[6]) end
local recipient = ARGV[2] .. record[RECIPIENT]
redis.call('HDEL', recipient, 'f:' .. record[TENANT])
local field = chain_field(record[TENANT], record[PURPOSE])
local chain = chain_of(recipient, field)
if chain.id == ARGV[1] then
  chain_store(recipient, field, {last = chain.last, sends = 0, ends = 0, id = '', token = ''})
end
return {'verified', moment}
