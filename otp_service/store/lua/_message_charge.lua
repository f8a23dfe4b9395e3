-- What was charged for one message at a provider, as long as the gateway may still tell what it charged: a packed array
--   1 when it was charged, ms   2 the price that is counted, millionths   3 the group of the spend history
--   4 '' while the price is ours, 'result' or 'receipt' when it is what the gateway told in one
local MESSAGE_CHARGE_TTL_MS = 1800000  -- longer than a receipt finds its message

local function read_message_charge(key)
  local packed = redis.pcall('GET', key)
  if type(packed) ~= 'string' then return nil end
  local unpacked, charge = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(charge) ~= 'table' then return nil end
  if type(charge[1]) ~= 'number' or type(charge[2]) ~= 'number' or type(charge[3]) ~= 'string' then return nil end
  return charge
end

local function write_message_charge(key, charge)
  redis.call('SET', key, cmsgpack.pack(charge), 'PX', MESSAGE_CHARGE_TTL_MS)
end
