-- A verification is one packed array. These are the places that scripts know; domain/verification.py has all of them.
local STATUS, TENANT, PURPOSE, RECIPIENT = 2, 3, 4, 5
local EXPIRES, ENDED, ATTEMPTS_LEFT = 7, 8, 9
local LEASE, KEEPS_CODE, DELIVERIES = 10, 11, 12
local READABLE_AFTER_END = 600000  -- design.md section 3: 10 minutes

-- The record, or nil when it is gone or its end is too long ago to be told.
local function record_of(key, now)
  local packed = redis.call('GET', key)
  if not packed then return nil end
  local record = cmsgpack.unpack(packed)
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
