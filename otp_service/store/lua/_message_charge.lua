-- What was charged for one message, as long as the gateway may still tell what it charged.
-- At its provider, from the charge on, a packed array:
--   1 when it was charged, ms   2 the price that is counted, millionths   3 the group of the spend history
--   4 '' while the price is ours, 'result' or 'receipt' when it is what the gateway told in one
--   5 our price   6 how often the price that is counted has changed
-- At its tenant and its country, from the first change on:
--   1 the price that is counted, millionths   2 the number of the change that it is from
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
