-- The events of circuits. A circuit that a failed probe opens again has no event: it was not closed meanwhile.
-- `country`: the destination of the circuit, '' for the provider's own.
local function emit_circuit_event(packed, provider, country, key, before, after, now)
  local code = before == 'closed' and after == 'open' and 'o' or before ~= 'closed' and after == 'closed' and 'c'
  if not packed or not code then return end
  local facts = {provider = provider}
  if country ~= '' then facts.country = country end
  if code == 'o' then facts.reason = redis.call('HGET', key, 'why') or '' end
  emit_operator_event(packed, code, string.format('%s-%s-%.0f', provider, country, now), facts, now)
end
