-- provider_open_destinations: lists the destinations of a provider whose circuit is not closed.
-- KEYS  1 circuit of the provider
-- returns {country, ms until a probe, 0: the next message is the probe}...
-- Invariant: nothing is changed.
--@include _clock
local FORGET_AFTER_MS = 60000  -- longer than the circuit of a destination is stored without a probe
local now = now_ms()
local found = {}
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local country = string.match(fields[at], '^o:(.+)$')
  local left_ms = country and tonumber(fields[at + 1]) - now
  if country and left_ms > -FORGET_AFTER_MS then found[#found + 1] = {country, math.max(0, left_ms)} end
end
return found
