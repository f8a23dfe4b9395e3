-- A delivery is the state of a message at one provider; a record lists one per provider tried, oldest first. It is an
-- array:
--   1 provider   2 status   3 when the status changed, ms   4 error, ''   5 the gateway's id of the message, ''
--   6 the lease under which the last call began, 0: never called   7 the earliest time of the next call, ms, 0: any
--   8 since when the outcome is ambiguous, ms, 0: it is not
--   9 true when the last call repeats a call whose outcome is ambiguous
--   10 the channel; '' or nil: that of the record
-- and, if the gateway reports each part of a long text by itself:
--   11 how many parts there are: our estimate, until the result of the call says
--   12 the parts that the result named, as hashes; '' for one without an id
--   13 the parts that were reported as delivered, as hashes
local function find_delivery(record, provider)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] == provider then return delivery end
  end
  return nil
end

local function find_or_add_delivery(record, provider)
  local delivery = find_delivery(record, provider)
  if not delivery then
    delivery = {provider, 'queued', 0, '', '', 0, 0, 0, false, ''}
    table.insert(record[DELIVERIES], delivery)
  end
  return delivery
end

-- The statuses of a gateway that may have accepted the message.
local MAY_HAVE_ACCEPTED = {sending = true, unknown = true, sent = true, undelivered = true, delivered = true}

-- Counts the gateways other than this one that may have accepted the message.
local function count_other_texts(record, provider)
  local texts = 0
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] ~= provider and MAY_HAVE_ACCEPTED[delivery[2]] then texts = texts + 1 end
  end
  return texts
end

-- Whether another gateway is known to have accepted the message, so that this one must not be called. This may have
-- become known after the claim. An acceptance by another channel, without a receipt, counts for `hold_ms`; 0: always.
local function is_accepted_elsewhere(record, provider, channel, hold_ms, now)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] ~= provider then
      local is_other_channel = (delivery[10] or '') ~= '' and delivery[10] ~= channel
      local is_overdue = is_other_channel and hold_ms > 0 and now >= delivery[3] + hold_ms
      if delivery[2] == 'delivered' or delivery[2] == 'sent' and not is_overdue then return true end
    end
  end
  return false
end

-- How certain a status is. A status of a lower rank never replaces one of a higher rank, and a final
-- receipt (rank 4) is never replaced.
local RANK = {sending = 0, unknown = 1, queued = 2, failed = 2, sent = 3, undelivered = 4, delivered = 4}

local function has_final_receipt(delivery)
  return RANK[delivery[2]] == 4
end

local MAX_PARTS = 32  -- more than a text with a code can have
local PART_HASH_CHARS = 12

local function hash_part(id)
  return id == '' and '' or string.sub(redis.sha1hex(id), 1, PART_HASH_CHARS)
end

-- Sets how many parts a delivery has; 0: receipts are not counted by part.
local function set_parts(delivery, count, named, delivered)
  delivery[10] = delivery[10] or ''
  for at = 11, 13 do delivery[at] = nil end
  if count > 0 or #delivered > 0 then delivery[11], delivery[12], delivery[13] = count, named, delivered end
end

-- Stores the ids of the parts that the result of a call named.
local function name_parts(delivery, ids)
  if #ids == 0 or #ids > MAX_PARTS then return end
  local named = {}
  for at, id in ipairs(ids) do named[at] = hash_part(id) end
  set_parts(delivery, #named, named, delivery[13] or {})
end

-- Returns the parts that the result named, or nil if it did not name all of them.
local function parts_by_hash(delivery)
  local named = {}
  for _, hash in ipairs(delivery[12] or {}) do
    if hash == '' then return nil end
    named[hash] = true
  end
  return next(named) and named or nil
end

-- Notes that a part was delivered; a repeated receipt counts once.
local function add_delivered_part(delivery, id)
  local hash, delivered = hash_part(id), delivery[13] or {}
  for _, one in ipairs(delivered) do
    if one == hash then return end
  end
  if #delivered < MAX_PARTS then table.insert(delivered, hash) end
  set_parts(delivery, delivery[11] or 0, delivery[12] or {}, delivered)
end

-- Whether every part of a message was delivered. While its call is in progress, the number of parts is not known.
local function has_all_parts(delivery)
  if delivery[2] == 'sending' or not delivery[13] then return false end
  local named, count = parts_by_hash(delivery), 0
  for _, hash in ipairs(delivery[13]) do
    if not named or named[hash] then count = count + 1 end
  end
  return count >= math.max(delivery[11], 1)
end

-- Whether a receipt is about an earlier call than the last one: `call` is the call that its URL names, nil for none;
-- without one the gateway's ids decide. The repeat of a call is about the same text.
local function is_of_earlier_call(delivery, call, id, part)
  if delivery[9] then return false end
  if call then return call ~= delivery[6] end
  local named = parts_by_hash(delivery)
  if part ~= '' and named then return not named[hash_part(part)] end
  return id ~= '' and delivery[5] ~= '' and id ~= delivery[5]
end

-- Updates a delivery with the result of the call that began under the lease `call`. Of a call before the last one only
-- an acceptance is news, if the last call repeats it: all else was known when the last call began. The rejection of a
-- repeated call says nothing about the first call, whose outcome stays ambiguous.
local function update_delivery(delivery, call, status, error, now)
  if delivery[9] and RANK[status] == RANK.failed then status, error = 'unknown', 'ambiguous' end
  if has_final_receipt(delivery) or RANK[status] < RANK[delivery[2]] then return end
  if call ~= delivery[6] and not (delivery[9] and RANK[status] >= RANK.sent) then return end
  if delivery[2] ~= status or delivery[4] ~= error then delivery[3] = now end  -- an unchanged status keeps its time
  delivery[2], delivery[4] = status, error
  if status == 'unknown' and delivery[8] == 0 then delivery[8] = now end
end
