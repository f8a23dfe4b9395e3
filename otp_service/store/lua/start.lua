-- start: stores a verification, ends the one before it, and puts its message into the outbox.
-- KEYS  1 the recipient  2 the verification  3 its message  4 the outbox of the partition  5 the mark of an abandoned id
--       6 the answer under the request's idempotency key, if it has one
-- ARGV  1 id  2 the record  3 the sealed code, '' for a decoy  4 when the message is due, ms from now
--       5, 6 what stands before an id in the names of verifications and messages of this partition
--       7 the moment after which the reservation does not count any more
--       with an idempotency key: 8 the request's fingerprint  9 its sealed answer  10 the life of what is kept, ms
-- Reaches by template: the verification and the message that the recipient's chain names, in the slot of KEYS.
-- returns {'started', now}
--         {'taken'}: that id exists  {'late'}: too long after its reservation, or abandoned
--         {'replay', the sealed answer}: another call under the same key was faster. Nothing was done.
-- Invariant: of one tenant, recipient and purpose at most one verification is pending. Its send counts in the chain, also
--            when a success, or the loss of the reservation, began a new chain since it was reserved. Of all calls under
--            one idempotency key one starts: its answer is kept in the same step.
--@include _clock _ttl _record _window _recipient _answer
local id = ARGV[1]
local now = now_ms()
local record = cmsgpack.unpack(ARGV[2])
local expires = record[EXPIRES]
if redis.call('EXISTS', KEYS[2]) == 1 then return {'taken'} end
local answer = KEYS[6] and answer_of(KEYS[6], ARGV[8])
if answer then return {'replay', answer} end
if now > tonumber(ARGV[7]) or redis.call('EXISTS', KEYS[5]) == 1 then return {'late'} end

local field = chain_field(record[TENANT], record[PURPOSE])
local chain = chain_of(KEYS[1], field)
if chain.id ~= '' then
  local older_key = ARGV[5] .. chain.id
  local older = record_of(older_key, now)
  if older and status_of(older, now) == 'pending' then
    record_end(older_key, older, 'superseded', now, ARGV[6] .. chain.id, KEYS[4], chain.id)
  end
end

if chain.running > 0 then
  chain.running = chain.running - 1
else
  chain.sends = chain.sends + 1  -- its reservation is not known any more
end
chain.id = id
chain.ends = math.max(chain.ends, expires)
chain_store(KEYS[1], field, chain)
extend_ttl(KEYS[1], expires, now)

redis.call('SET', KEYS[2], ARGV[2], 'PXAT', string.format('%d', expires + READABLE_AFTER_END))
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], ARGV[3], 'PXAT', string.format('%d', expires))
  redis.call('ZADD', KEYS[4], string.format('%d', now + tonumber(ARGV[4])), id)
  extend_ttl(KEYS[4], expires + READABLE_AFTER_END, now)
end
if KEYS[6] then answer_store(KEYS[6], ARGV[8], ARGV[9], ARGV[10]) end
return {'started', now}
