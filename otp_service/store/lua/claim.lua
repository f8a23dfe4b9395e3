-- claim: leases the entries of a partition that are due.
-- KEYS  1 the outbox of the partition
-- ARGV  1 how many at most  2 lease ms  3, 4 what stands before an id in the names of verifications and messages
--       5 the ids of the keys that the caller can read with (packed)  6 the ids of entries that it leaves to others (packed)
-- Reaches by template: the verifications and messages that the outbox names, in the slot of KEYS.
-- returns {now, ms that the oldest due entry has waited, entries left, {ids that were set aside},
--          {id, record, sealed code}...}
-- Invariant: an entry is worked on by the last one who claimed it: the record's lease number says who that is.
--            An entry whose verification has ended or is gone leaves the outbox, and its delivery says so.
--            What cannot be read is set aside: it leaves the outbox and stops none of the others. An outbox that is
--            none (of another type) is deleted; '' among the ids says so. What the caller has no key for, or leaves to
--            others, stays as it is for those who can work on it, and holds up nothing that is due behind it.
--@include _clock _record
local LOOKED_AT = 256  -- entries in one call
local now = now_ms()
local most, key_ids, left = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[5]), {}
for _, id in ipairs(cmsgpack.unpack(ARGV[6])) do left[id] = true end
local oldest = redis.pcall('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
if oldest.err then
  if not string.find(oldest.err, 'WRONGTYPE', 1, true) then return oldest end
  redis.call('DEL', KEYS[1])
  return {now, 0, 0, {''}}
end
local aside = {}
local reply = {now, oldest[2] and now - tonumber(oldest[2]) or 0, 0, aside}
local HEAD = #reply

local function look(id)
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
  elseif is_readable(record, key_ids) and not left[id] then
    record[LEASE] = record[LEASE] + 1
    record_store(key, record)
    redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[2])), id)
    reply[#reply + 1] = {id, cmsgpack.pack(record), code}
  end
end

local function look_from(at)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', at, LOOKED_AT)) do
    if #reply - HEAD >= most then return end
    look(id)
  end
end
look_from(0)
local parts = math.ceil(redis.call('ZCOUNT', KEYS[1], '-inf', now) / LOOKED_AT)
if #reply == HEAD and parts > 1 then  -- all of the first part is left to others: look at one of the others, in turn
  look_from(LOOKED_AT * (1 + math.floor(now / 500) % (parts - 1)))
end
reply[3] = redis.call('ZCARD', KEYS[1])
return reply
