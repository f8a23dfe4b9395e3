-- start: stores a verification, ends the one before it, and puts its message into the outbox.
-- KEYS  1 the recipient  2 the verification  3 its message  4 the outbox of the partition
-- ARGV  1 id  2 the record  3 the sealed code, '' for a decoy  4 when the message is due, ms from now
--       5, 6 what stands before an id in the names of verifications and messages of this partition
-- Reaches by template: the verification and the message that the recipient's chain names, in the slot of KEYS.
-- returns {'started', now} or {'taken'}: that id exists, nothing was done
-- Invariant: of one tenant, recipient and purpose at most one verification is pending.
--@include _clock _record _window _recipient
local id = ARGV[1]
local now = now_ms()
local record = cmsgpack.unpack(ARGV[2])
local expires = record[EXPIRES]
if redis.call('EXISTS', KEYS[2]) == 1 then return {'taken'} end

local field = chain_field(record[TENANT], record[PURPOSE])
local chain = chain_of(KEYS[1], field)
if chain.id ~= '' then
  local older_key = ARGV[5] .. chain.id
  local older = record_of(older_key, now)
  if older and status_of(older, now) == 'pending' then
    record_end(older_key, older, 'superseded', now, ARGV[6] .. chain.id, KEYS[4], chain.id)
  end
end

chain.id = id
chain.ends = math.max(chain.ends, expires)
chain_store(KEYS[1], field, chain)
live_until(KEYS[1], expires, now)

redis.call('SET', KEYS[2], ARGV[2], 'PXAT', string.format('%d', expires + READABLE_AFTER_END))
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], ARGV[3], 'PXAT', string.format('%d', expires))
  redis.call('ZADD', KEYS[4], string.format('%d', now + tonumber(ARGV[4])), id)
  live_until(KEYS[4], expires + READABLE_AFTER_END, now)
end
return {'started', now}
