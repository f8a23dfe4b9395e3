-- A verification is one packed array. These are the places that scripts know; domain/verification.py has all of them.
local VERSION = 1
local STATUS, TENANT, PURPOSE, RECIPIENT = 2, 3, 4, 5
local EXPIRES, ENDED, ATTEMPTS_LEFT = 7, 8, 9
local LEASE, KEEPS_CODE, DELIVERIES, KEY_ID = 10, 11, 12, 13
local READABLE_AFTER_END = 600000  -- design.md section 3: 10 minutes

-- What belongs into each place of a record and of a delivery: n a whole number, t text, b a truth, l a list.
local RECORD_KINDS, DELIVERY_KINDS = 'nttttnnnnnblttttttnnnn', 'ttnttnnnb'
local FITS = {
  n = function(value)
    return type(value) == 'number' and value >= 0 and value <= 2 ^ 53 and value == math.floor(value)
  end,
  t = function(value) return type(value) == 'string' end,
  b = function(value) return type(value) == 'boolean' end,
  l = function(value) return type(value) == 'table' end,
}
local STATUSES = {pending = true, verified = true, superseded = true, canceled = true}
local DELIVERY_STATUSES = {
  queued = true, sending = true, sent = true, delivered = true, undelivered = true, failed = true, unknown = true,
}

local function fits(values, kinds)
  if type(values) ~= 'table' then return false end
  for at = 1, #kinds do
    if not FITS[string.sub(kinds, at, at)](values[at]) then return false end
  end
  return true
end

local function is_record(record)
  if not fits(record, RECORD_KINDS) or record[1] ~= VERSION or not STATUSES[record[STATUS]] then return false end
  for _, delivery in ipairs(record[DELIVERIES]) do
    if not fits(delivery, DELIVERY_KINDS) or not DELIVERY_STATUSES[delivery[2]] then return false end
  end
  return true
end

-- The record, or nil when it is gone or its end is too long ago to be told. One that cannot be read (damaged, of another
-- type or version) is nil as well, and 'unreadable' says so: it must not stop what has nothing to do with it.
local function record_of(key, now)
  local packed = redis.pcall('GET', key)
  if not packed then return nil end
  local unpacked, record, more = pcall(cmsgpack.unpack, packed)
  if not unpacked or more ~= nil or not is_record(record) then return nil, 'unreadable' end
  local ended = record[ENDED] > 0 and record[ENDED] or record[EXPIRES]
  if now >= ended + READABLE_AFTER_END then return nil end
  return record
end

-- pending | verified | superseded | canceled | expired | exhausted. The last two are not stored: a verification ends
-- by itself when its time or its attempts are up (a guess that is paid for may still turn `exhausted` into `verified`).
local function status_of(record, now)
  if record[STATUS] ~= 'pending' then return record[STATUS] end
  if record[ATTEMPTS_LEFT] == 0 then return 'exhausted' end
  if now >= record[EXPIRES] then return 'expired' end
  return 'pending'
end

-- Whether a replica that has the keys `key_ids` can read what the record holds sealed, and compare with its hash. While
-- keys are rotated, replicas may have different ones.
local function is_readable(record, key_ids)
  for _, key_id in ipairs(key_ids) do
    if key_id == record[KEY_ID] then return true end
  end
  return false
end

local function record_store(key, record)
  redis.call('SET', key, cmsgpack.pack(record), 'KEEPTTL')
end

-- Nothing more is sent. A delivery that waits for another try has failed; one that never began is told as a failure
-- only with a `reason`, and otherwise was simply called off.
local function close_queued(record, reason)
  for at = #record[DELIVERIES], 1, -1 do
    local delivery = record[DELIVERIES][at]
    if delivery[2] == 'queued' then
      if delivery[4] == '' and not reason then
        table.remove(record[DELIVERIES], at)
      else
        delivery[2] = 'failed'
        if delivery[4] == '' then delivery[4] = reason end
      end
    end
  end
end

-- Nobody works on the entry any more: a call of which nothing was heard may have been accepted.
local function close_deliveries(record)
  close_queued(record, 'transient')
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[2] == 'sending' then delivery[2], delivery[4] = 'unknown', 'ambiguous' end
  end
end

local function has(record, status)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[2] == status then return true end
  end
  return false
end

-- Ends a verification: its message must not be sent any more. While it is being sent its entry stays in the outbox:
-- `settle` takes it out, or, when nothing is heard of the call, whoever claims it next.
local function record_end(key, record, status, now, message, outbox, id)
  close_queued(record, nil)
  record[STATUS] = status
  record[ENDED] = now
  record_store(key, record)
  redis.call('DEL', message)
  if not has(record, 'sending') then redis.call('ZREM', outbox, id) end
end
