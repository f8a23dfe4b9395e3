-- consume: turns a correct code into the one success of its verification.
-- KEYS  1 verification  2 its message  3 outbox of the partition
--       4 stored response under the attempt's idempotency key, if it has one
-- ARGV  1 id  2, 3 key prefixes of recipients and of lockouts in this partition
--       4 time of the success, ms: when the attempt was reserved; '' for now
--       with an idempotency key: 5 fingerprint of the attempt  6 sealed response of the success  7 its TTL, ms
--       8 key prefix of indexes of recipients in this partition
-- Reaches by template: the recipient that the record names, its index, and its lockout at the tenant, in the slot of
-- KEYS, and the events whose index the record names.
-- returns {'verified', time of the success}: this call made it
--         {'not_found'}
--         {'ended', 'verified' | 'superseded' | 'canceled' | 'expired'}: it had ended before
-- Invariant: of N correct codes exactly one gets 'verified'. A success clears the recipient's wrong codes and its
--            lockout, and begins a new chain that counts only the open reservations. Its response is stored in the same
--            step, so a caller that lost the reply gets it again, whichever process stops.
--@include _clock _ttl _record _window _recipient _recipient_index _lockout _idempotency
local now = now_ms()
local record = read_record(KEYS[1], now)
if not record then return {'not_found'} end
if record[STATUS] ~= 'pending' then return {'ended', record[STATUS]} end
if now >= record[EXPIRES] then return {'ended', 'expired'} end

local verified_at = tonumber(ARGV[4]) or now
end_verification(KEYS[1], record, 'verified', verified_at, KEYS[2], KEYS[3], ARGV[1])
if KEYS[4] then
  store_response(KEYS[4], ARGV[5], ARGV[6], ARGV[7])
  local index = ARGV[8] .. record[RECIPIENT]
  add_to_index(index, 'i', record[TENANT], response_name(KEYS[4]), now + tonumber(ARGV[7]), now)
end
local recipient = ARGV[2] .. record[RECIPIENT]
redis.call('HDEL', recipient, 'f:' .. record[TENANT])
redis.call('DEL', lockout_key(ARGV[3], record[TENANT], record[RECIPIENT]))
local field = chain_field(record[TENANT], record[PURPOSE])
local chain = read_chain(recipient, field)
if chain.id == ARGV[1] then
  chain.id, chain.open = '', open_reservations(chain, now)
  chain.sends = chain.open
  if chain.open == 0 then chain.ends, chain.token = 0, '' end
  write_chain(recipient, field, chain)
end
if has_events(record) then
  --@include _events _verification_events
  withdraw_events(record, ARGV[1], {'x', 'l-0', 'l-1', 'l-2', 'l-3', 'l-4'})
  emit(record, ARGV[1], 'v', {}, now, now)
end
return {'verified', verified_at}
