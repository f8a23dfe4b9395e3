-- What was charged for one message, as long as the gateway may still report it.
-- At its provider, from the charge on, a packed array:
--   1 when it was charged, ms   2 the price that is counted, millionths   3 the group of the spend history
--   4 '' for the configured price, 'result' or 'receipt' for what the gateway reported in one; 'refunded'
--   5 the configured price   6 how often the price that is counted has changed
--   7 earlier charges of the message that may still be refunded, a list of {when, the price that is counted}; or nil
-- At its tenant and its country, for each charge, from the first change on:
--   1 the price that is counted, millionths   2 the number of the change that it is from
--   3 when this account was charged, ms; nil after a refund
local NO_MORE_CHANGES = 2 ^ 52  -- the number after a refund
local MAX_EARLIER_CHARGES = 8
local MESSAGE_CHARGE_TTL_MS = 1800000  -- longer than a receipt finds its message

-- Returns the array if it has the `types` (n number, t text), else nil.
local function read_charge(key, types)
  local packed = redis.pcall('GET', key)
  if type(packed) ~= 'string' then return nil end
  local unpacked, charge = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(charge) ~= 'table' then return nil end
  for at = 1, #types do
    if type(charge[at]) ~= (string.sub(types, at, at) == 'n' and 'number' or 'string') then return nil end
  end
  return charge
end

local function read_message_charge(key)
  return read_charge(key, 'nnttnn')
end

local function read_changed_price(key)
  return read_charge(key, 'nn')
end

local function write_charge(key, charge)
  redis.call('SET', key, cmsgpack.pack(charge), 'PX', MESSAGE_CHARGE_TTL_MS)
end

-- Adds a new charge of a message at its provider; an earlier one may still be refunded, and its price had changed.
local function write_new_charge(key, now, price, group)
  local before, earlier = read_message_charge(key), {}
  if before then
    earlier = type(before[7]) == 'table' and before[7] or {}
    if before[4] ~= 'refunded' then table.insert(earlier, 1, {before[1], before[2]}) end
    earlier[MAX_EARLIER_CHARGES + 1] = nil
  end
  write_charge(key, {now, price, group, '', price, 0, earlier[1] and earlier or nil})
end

-- Ends a charge of a message at its provider. Returns the price that is counted, nil if it was refunded before, or
-- `price` if the charge is not known (any more).
local function end_charge(key, charged_ms, price)
  local charge = read_message_charge(key)
  if not charge then return price end
  if charge[1] == charged_ms then
    if charge[4] == 'refunded' then return nil end
    price, charge[2], charge[4] = charge[2], 0, 'refunded'
    write_charge(key, charge)
    return price
  end
  local earlier = type(charge[7]) == 'table' and charge[7] or {}
  for at, one in ipairs(earlier) do
    if one[1] == charged_ms then
      table.remove(earlier, at)
      charge[7] = earlier[1] and earlier or nil
      write_charge(key, charge)
      return one[2]
    end
  end
  return nil
end
