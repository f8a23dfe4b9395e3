-- The event that a charge crossed the alert threshold of a daily cap. `kind`: 'provider', 'tenant' or 'country'. Caps are
-- text, '' for none; money is in millionths.
local function emit_cap_near(packed, kind, name, messages, spend, message_cap, spend_cap, now)
  if not packed then return end
  local facts = {cap = kind, name = name, messages = messages, spend = string.format('%.6f', spend / 1000000)}
  if message_cap ~= '' then facts.message_cap = tonumber(message_cap) end
  if spend_cap ~= '' then facts.spend_cap = string.format('%.6f', tonumber(spend_cap) / 1000000) end
  emit_operator_event(packed, 'n', string.format('%s-%s-%.0f', kind, name, now), facts, now)
end
