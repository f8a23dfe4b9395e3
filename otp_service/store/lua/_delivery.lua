-- A delivery is {provider, status, at, error, the gateway's message id, the lease that its last call was begun under,
-- when it may be asked again at the earliest, since when it is doubtful, whether its last call repeats one in doubt}:
-- one entry per provider tried, oldest first.
local function delivery_at(record, provider)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] == provider then return delivery end
  end
  return nil
end

local function delivery_of(record, provider)
  local delivery = delivery_at(record, provider)
  if not delivery then
    delivery = {provider, 'queued', 0, '', '', 0, 0, 0, false}
    table.insert(record[DELIVERIES], delivery)
  end
  return delivery
end

-- Who has these may have the text.
local MAY_HAVE = {sending = true, unknown = true, sent = true, undelivered = true, delivered = true}

-- How many gateways may have the text, besides this one.
local function texts_elsewhere(record, provider)
  local texts = 0
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] ~= provider and MAY_HAVE[delivery[2]] then texts = texts + 1 end
  end
  return texts
end

-- Whether another gateway surely has the text, as may have become known since the message was claimed.
local function is_with_other(record, provider)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] ~= provider and (delivery[2] == 'sent' or delivery[2] == 'delivered') then return true end
  end
  return false
end

-- How much a status says about a call. What says less never takes the place of what says more, and what the gateway
-- itself told in the end stays as it was told first.
local SAYS = {sending = 0, unknown = 1, queued = 2, failed = 2, sent = 3, undelivered = 4, delivered = 4}

local function is_told(delivery)
  return SAYS[delivery[2]] == 4
end

-- Notes what became of the call that was begun under the lease `call`. Of a call before the last one only an
-- acceptance is news: everything else was known when the last one began. What refuses a repetition says nothing of the
-- call that is in doubt.
local function delivery_learn(delivery, call, status, error, now)
  if delivery[9] and SAYS[status] == SAYS.failed then status, error = 'unknown', 'ambiguous' end
  if is_told(delivery) or SAYS[status] < SAYS[delivery[2]] then return end
  if call ~= delivery[6] and SAYS[status] < SAYS.sent then return end
  if delivery[2] ~= status or delivery[4] ~= error then delivery[3] = now end  -- one that rests keeps its moment
  delivery[2], delivery[4] = status, error
  if status == 'unknown' and delivery[8] == 0 then delivery[8] = now end
end
