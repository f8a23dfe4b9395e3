-- The stored response of an idempotent request: one packed array {fingerprint of the request, sealed response}. Its key
-- is in the hash slot of the verification that the response describes, so one script writes both.

-- Returns the sealed response for a request, or nil when there is none. A damaged entry is returned as '', which nobody
-- can open: the request fails instead of running a second time.
local function stored_response(key, fingerprint)
  local packed = redis.pcall('GET', key)
  if not packed then return nil end
  local unpacked, stored = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(stored) ~= 'table' or type(stored[2]) ~= 'string' then return '' end
  return stored[1] == fingerprint and stored[2] or nil
end

local function store_response(key, fingerprint, response, ttl_ms)
  redis.call('SET', key, cmsgpack.pack({fingerprint, response}), 'PX', ttl_ms)
end
