-- claim: leases the entries of a partition that are due.
-- KEYS  1 the outbox of the partition
-- ARGV  1 how many at most  2 lease ms  3, 4 what stands before an id in the names of verifications and messages
-- Reaches by template: the verifications and messages that the outbox names, in the slot of KEYS.
-- returns {now, ms that the oldest due entry has waited, entries left, {id, record, sealed code}...}
-- Invariant: an entry is worked on by the last one who claimed it: the record's lease number says who that is.
--            An entry whose verification has ended or is gone leaves the outbox, and its delivery says so.
--@include _clock _record
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
local reply = {now, due[2] and now - tonumber(due[2]) or 0, 0}
for at = 1, #due, 2 do
  local id = due[at]
  local key, message = ARGV[3] .. id, ARGV[4] .. id
  local record, code = record_of(key, now), redis.call('GET', message)
  if not record then
    redis.call('ZREM', KEYS[1], id)
  elseif status_of(record, now) ~= 'pending' or not code then
    close_deliveries(record)
    record_store(key, record)
    redis.call('DEL', message)
    redis.call('ZREM', KEYS[1], id)
  else
    record[LEASE] = record[LEASE] + 1
    record_store(key, record)
    redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[2])), id)
    reply[#reply + 1] = {id, cmsgpack.pack(record), code}
  end
end
reply[3] = redis.call('ZCARD', KEYS[1])
return reply
