-- The record of a verification is one packed array. These are the positions that scripts use;
-- domain/verification.py has all of them.
local VERSION = 1
local STATUS, TENANT, PURPOSE, RECIPIENT = 2, 3, 4, 5
local EXPIRES, ENDED, ATTEMPTS_LEFT = 7, 8, 9
local LEASE, KEEPS_CODE, DELIVERIES, KEY_ID, CODE_HASH = 10, 11, 12, 13, 14
local PHONE, CHANNEL, COUNTRY, EVENTS = 15, 16, 17, 25
local READABLE_AFTER_END_MS = 600000  -- an ended verification keeps its state readable for 10 minutes

-- The type at each position of a record and of a delivery. A number is a whole one, and not negative.
local RECORD_TYPES = {
  'number', 'string', 'string', 'string', 'string', 'number', 'number', 'number', 'number', 'number', 'boolean', 'table',
  'string', 'string', 'string', 'string', 'string', 'string', 'number', 'number', 'number', 'number',
}
local DELIVERY_TYPES = {'string', 'string', 'number', 'string', 'string', 'number', 'number', 'number', 'boolean'}
local MAX_WHOLE = 2 ^ 53

local function has_types(values, types)
  if type(values) ~= 'table' then return false end
  for at = 1, #types do
    local value, expected = values[at], types[at]
    if type(value) ~= expected then return false end
    if expected == 'number' and not (value >= 0 and value <= MAX_WHOLE and value % 1 == 0) then return false end
  end
  return true
end

local function is_delivery_status(text)
  return text == 'queued' or text == 'sending' or text == 'sent' or text == 'delivered' or text == 'undelivered'
    or text == 'failed' or text == 'unknown'
end

local function is_record(record)
  if not has_types(record, RECORD_TYPES) or record[1] ~= VERSION then return false end
  local status = record[STATUS]
  if status ~= 'pending' and status ~= 'verified' and status ~= 'superseded' and status ~= 'canceled' then
    return false
  end
  for _, delivery in ipairs(record[DELIVERIES]) do
    if not has_types(delivery, DELIVERY_TYPES) or not is_delivery_status(delivery[2]) then return false end
  end
  return true
end

-- Returns the record, or nil when it does not exist or ended too long ago. For a record that cannot be read (damaged,
-- or of another type or version) it returns nil and 'unreadable' instead of raising: other entries must not fail with
-- it.
local function read_record(key, now)
  local packed = redis.pcall('GET', key)
  if not packed then return nil end
  local unpacked, record, more = pcall(cmsgpack.unpack, packed)
  if not unpacked or more ~= nil or not is_record(record) then return nil, 'unreadable' end
  local ended = record[ENDED] > 0 and record[ENDED] or record[EXPIRES]
  if now >= ended + READABLE_AFTER_END_MS then return nil end
  return record
end

-- Returns 'pending' | 'verified' | 'superseded' | 'canceled' | 'expired' | 'exhausted'. The last two are not stored:
-- they follow from the time and from the attempts left. (The last attempt may still turn 'exhausted' into 'verified'.)
local function record_status(record, now)
  if record[STATUS] ~= 'pending' then return record[STATUS] end
  if record[ATTEMPTS_LEFT] == 0 then return 'exhausted' end
  if now >= record[EXPIRES] then return 'expired' end
  return 'pending'
end

-- Whether a replica that has the keys `key_ids` can open what the record holds sealed, and compare with its hash.
-- Replicas may have different keys while keys are rotated.
local function has_key_of(record, key_ids)
  for _, key_id in ipairs(key_ids) do
    if key_id == record[KEY_ID] then return true end
  end
  return false
end

-- Whether somebody gets events of the verification.
local function has_events(record)
  return type(record[EVENTS]) == 'table' and record[EVENTS][1] ~= nil
end

-- Returns the status of each delivery by its provider, for `emit_delivery_events`; nil when nobody gets events.
local function delivery_statuses(record)
  if not has_events(record) then return nil end
  local statuses = {}
  for _, delivery in ipairs(record[DELIVERIES]) do statuses[delivery[1]] = delivery[2] end
  return statuses
end

-- Returns the record as it was written.
local function write_record(key, record)
  local packed = cmsgpack.pack(record)
  redis.call('SET', key, packed, 'KEEPTTL')
  return packed
end

-- Ends the queued deliveries, because nothing more is sent. One that waits for another try has failed. One that never
-- began has failed with the error `reason`, or is removed when there is no reason.
local function end_queued_deliveries(record, reason)
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

-- Ends all deliveries, because no replica works on the message any more. A call without a known result may have been
-- accepted.
local function end_all_deliveries(record)
  end_queued_deliveries(record, 'transient')
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[2] == 'sending' then delivery[2], delivery[4] = 'unknown', 'ambiguous' end
  end
end

local function has_delivery(record, status)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[2] == status then return true end
  end
  return false
end

-- Ends a verification, so that its message is not sent any more. While a call is in progress the outbox entry stays:
-- `record_result` removes it, or the next `claim` when no result comes.
local function end_verification(key, record, status, now, message, outbox, id)
  end_queued_deliveries(record, nil)
  record[STATUS] = status
  record[ENDED] = now
  write_record(key, record)
  redis.call('DEL', message)
  if not has_delivery(record, 'sending') then redis.call('ZREM', outbox, id) end
end
