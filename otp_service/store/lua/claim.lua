-- claim: leases the entries of a partition that are due.
-- KEYS  1 the outbox of the partition
-- ARGV  1 how many at most  2 lease ms  3, 4 what stands before an id in the names of verifications and messages
-- Reaches by template: the verifications and messages that the outbox names, in the slot of KEYS.
-- returns {now, ms that the oldest due entry has waited, entries left, {ids that were set aside},
--          {id, record, sealed code}...}
-- Invariant: an entry is worked on by the last one who claimed it: the record's lease number says who that is.
--            An entry whose verification has ended or is gone leaves the outbox, and its delivery says so.
--            What cannot be read is set aside: it leaves the outbox and stops none of the others. An outbox that is
--            none (of another type) is deleted; '' among the ids says so.
--@include _clock _record
local now = now_ms()
local due = redis.pcall('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
if due.err then
  if not string.find(due.err, 'WRONGTYPE', 1, true) then return due end
  redis.call('DEL', KEYS[1])
  return {now, 0, 0, {''}}
end
local aside = {}
local reply = {now, due[2] and now - tonumber(due[2]) or 0, 0, aside}
for at = 1, #due, 2 do
  local id = due[at]
  local key, message = ARGV[3] .. id, ARGV[4] .. id
  local record, unreadable = record_of(key, now)
  local code = redis.pcall('GET', message)
  if unreadable or type(code) == 'table' then aside[#aside + 1] = id end
  if not record then
    if unreadable then redis.call('DEL', message) end
    redis.call('ZREM', KEYS[1], id)
  elseif status_of(record, now) ~= 'pending' or type(code) ~= 'string' then
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
