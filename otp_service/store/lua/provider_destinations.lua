-- gateway_destinations: the destinations for which a provider's circuit is not closed.
-- KEYS  1 the circuit of the provider
-- returns {country, ms until its circuit is tried again, 0: by the next message}...
--@include _clock
local FORGOTTEN_MS = 60000  -- longer than a circuit is kept that nobody tries again
local now = now_ms()
local found = {}
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local country = string.match(fields[at], '^o:(.+)$')
  local ms = country and tonumber(fields[at + 1]) - now
  if country and ms > -FORGOTTEN_MS then found[#found + 1] = {country, math.max(0, ms)} end
end
return found
