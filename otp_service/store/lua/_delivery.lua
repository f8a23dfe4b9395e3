-- A delivery is the state of a message at one provider; a record lists one per provider tried, oldest first. It is an
-- array:
--   1 provider   2 status   3 when the status changed, ms   4 error, ''   5 the gateway's id of the message, ''
--   6 the lease under which the last call began, 0: never called   7 the earliest time of the next call, ms, 0: any
--   8 since when the outcome is ambiguous, ms, 0: it is not
--   9 true when the last call repeats a call whose outcome is ambiguous
--   10 the channel; '' or nil: that of the record
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

-- How much a status tells about a call. A status of a lower rank never replaces one of a higher rank, and a final
-- receipt (rank 4) is never replaced.
local RANK = {sending = 0, unknown = 1, queued = 2, failed = 2, sent = 3, undelivered = 4, delivered = 4}

local function has_final_receipt(delivery)
  return RANK[delivery[2]] == 4
end

-- Updates a delivery with the result of the call that began under the lease `call`. Of a call before the last one only
-- an acceptance is news: all else was known when the last call began. The rejection of a repeated call says nothing
-- about the first call, whose outcome stays ambiguous.
local function update_delivery(delivery, call, status, error, now)
  if delivery[9] and RANK[status] == RANK.failed then status, error = 'unknown', 'ambiguous' end
  if has_final_receipt(delivery) or RANK[status] < RANK[delivery[2]] then return end
  if call ~= delivery[6] and RANK[status] < RANK.sent then return end
  if delivery[2] ~= status or delivery[4] ~= error then delivery[3] = now end  -- an unchanged status keeps its time
  delivery[2], delivery[4] = status, error
  if status == 'unknown' and delivery[8] == 0 then delivery[8] = now end
end
