-- start: stores a verification, supersedes the pending one, and puts the message into the outbox.
-- KEYS  1 recipient  2 verification  3 its message  4 outbox of the partition  5 flag that the id is abandoned
--       6 index of the recipient  7 stored response under the request's idempotency key, if it has one
-- ARGV  1 id  2 record  3 sealed code, '' for a decoy  4 ms until the message is due
--       5, 6 key prefixes of verifications and messages in this partition
--       7 time after which the reservation is not valid any more, ms
--       with an idempotency key: 8 fingerprint of the request  9 sealed response  10 its TTL, ms
-- Reaches by template: the verification and the message that the recipient's chain names, in the slot of KEYS, and the
-- events whose index the record names.
-- returns {'started', now}
--         {'id_exists'}: a verification has this id already; ids are random, so this is an error of the caller
--         {'reservation_expired'}: it came too late, or was abandoned
--         {'replay', sealed response}: another call under the same idempotency key was faster
--         On anything but 'started' nothing is changed.
-- Invariant: of one tenant, recipient and purpose at most one verification is pending. The send counts in the chain,
--            also when a success, or the loss of the reservation, began a new chain since it was reserved. Of all calls
--            under one idempotency key one starts: its response is stored in the same step.
--@include _clock _ttl _record _window _recipient _recipient_index _idempotency
local id = ARGV[1]
local now = now_ms()
local record = cmsgpack.unpack(ARGV[2])
local expires = record[EXPIRES]
if redis.call('EXISTS', KEYS[2]) == 1 then return {'id_exists'} end
local response = KEYS[7] and stored_response(KEYS[7], ARGV[8])
if response then return {'replay', response} end
if now > tonumber(ARGV[7]) or redis.call('EXISTS', KEYS[5]) == 1 then return {'reservation_expired'} end

local field = chain_field(record[TENANT], record[PURPOSE])
local chain = read_chain(KEYS[1], field)
if chain.id ~= '' then
  local older_key = ARGV[5] .. chain.id
  local older = read_record(older_key, now)
  if older and record_status(older, now) == 'pending' then
    end_verification(older_key, older, 'superseded', now, ARGV[6] .. chain.id, KEYS[4], chain.id)
  end
end

if chain.open > 0 then
  chain.open = chain.open - 1
else
  chain.sends = chain.sends + 1  -- the chain has lost the reservation
end
chain.id = id
chain.ends = math.max(chain.ends, expires)
write_chain(KEYS[1], field, chain)
extend_ttl(KEYS[1], expires, now)

redis.call('SET', KEYS[2], ARGV[2], 'PXAT', string.format('%d', expires + READABLE_AFTER_END_MS))
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], ARGV[3], 'PXAT', string.format('%d', expires))
  redis.call('ZADD', KEYS[4], string.format('%d', now + tonumber(ARGV[4])), id)
  extend_ttl(KEYS[4], expires + READABLE_AFTER_END_MS, now)
end
add_to_index(KEYS[6], 'v', record[TENANT], id, expires + READABLE_AFTER_END_MS, now)
if KEYS[7] then
  store_response(KEYS[7], ARGV[8], ARGV[9], ARGV[10])
  add_to_index(KEYS[6], 'i', record[TENANT], response_name(KEYS[7]), now + tonumber(ARGV[10]), now)
end
if has_events(record) then
  --@include _events _verification_events
  emit(record, id, 'r', {}, now, now)
end
return {'started', now}
