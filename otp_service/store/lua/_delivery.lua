-- A delivery is {provider, status, at, error, the gateway's message id}: one entry per provider tried, oldest first.
local function delivery_of(record, provider)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] == provider then return delivery end
  end
  local delivery = {provider, 'queued', 0, '', ''}
  table.insert(record[DELIVERIES], delivery)
  return delivery
end
