-- webhook_endpoints: lists the endpoints that have events in a slot, also those that are not configured any more.
-- KEYS  1 index of the slot
-- returns {endpoint...}
-- Invariant: nothing is changed.
--@include _ttl _events
local found, is_found = {}, {}
for _, key in ipairs({KEYS[1], KEYS[1] .. '/'}) do
  for _, endpoint in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if not is_found[endpoint] then found[#found + 1] = endpoint end
    is_found[endpoint] = true
  end
end
return found
