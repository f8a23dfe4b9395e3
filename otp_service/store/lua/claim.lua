-- claim: leases the entries of a partition's outbox that are due.
-- KEYS  1 outbox of the partition
-- ARGV  1 maximum number of entries  2 lease, ms  3, 4 key prefixes of verifications and messages
--       5 ids of the keys that the caller has (packed)  6 ids of entries that the caller excludes (packed)
-- Reaches by template: the verifications and messages that the outbox names, in the slot of KEYS, and the
-- events whose index a record names.
-- returns {now, ms that the oldest due entry has waited, entries left, {ids of removed unreadable entries},
--          {id, record, sealed code}...}
-- Invariant: only the last one who claimed an entry works on it; the record's lease number identifies it.
--            An entry whose verification has ended or is gone leaves the outbox, and its delivery says so.
--            An unreadable entry leaves the outbox and does not stop the others. An outbox of another Redis type is
--            deleted, and the id '' in the reply reports it. An entry that the caller has no key for, or excludes,
--            stays unchanged for other replicas and does not delay the entries behind it.
--@include _clock
local now = now_ms()
local oldest = redis.pcall('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
if oldest.err then
  if not string.find(oldest.err, 'WRONGTYPE', 1, true) then return oldest end
  redis.call('DEL', KEYS[1])
  return {now, 0, 0, {''}}
end
local removed = {}
if not oldest[1] then return {now, 0, redis.call('ZCARD', KEYS[1]), removed} end  -- nearly always

--@include _ttl _record _events _verification_events
local MAX_INSPECTED = 256  -- entries per call
local reply = {now, now - tonumber(oldest[2]), 0, removed}
local HEADER_SIZE = #reply
local max_entries, key_ids, is_excluded = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[5]), {}
for _, id in ipairs(cmsgpack.unpack(ARGV[6])) do is_excluded[id] = true end

local function inspect(id)
  local key, message = ARGV[3] .. id, ARGV[4] .. id
  local record, unreadable = read_record(key, now)
  local code = redis.pcall('GET', message)
  if unreadable or type(code) == 'table' then removed[#removed + 1] = id end
  if not record then
    if unreadable then redis.call('DEL', message) end
    redis.call('ZREM', KEYS[1], id)
  elseif record_status(record, now) ~= 'pending' or type(code) ~= 'string' then
    local before = delivery_statuses(record)
    end_all_deliveries(record)
    write_record(key, record)
    emit_delivery_events(record, id, before, false, now)
    redis.call('DEL', message)
    redis.call('ZREM', KEYS[1], id)
  elseif has_key_of(record, key_ids) and not is_excluded[id] then
    record[LEASE] = record[LEASE] + 1
    local packed = write_record(key, record)
    redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[2])), id)
    reply[#reply + 1] = {id, packed, code}
  end
end

local function inspect_from(offset)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', offset, MAX_INSPECTED)) do
    if #reply - HEADER_SIZE >= max_entries then return end
    inspect(id)
  end
end
inspect_from(0)
local pages = math.ceil(redis.call('ZCOUNT', KEYS[1], '-inf', now) / MAX_INSPECTED)
if #reply == HEADER_SIZE and pages > 1 then  -- the first page is only for other replicas: inspect the others in turn
  inspect_from(MAX_INSPECTED * (1 + math.floor(now / 500) % (pages - 1)))
end
reply[3] = redis.call('ZCARD', KEYS[1])
return reply
