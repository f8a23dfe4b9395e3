-- The events of a verification and of its deliveries. Their ids follow from what they report, so that a repeated script
-- adds nothing. An id never contains a full stop: it is signed as `id.timestamp.body`.
local MAY_SUCCEED_MS = 5000  -- an attempt is counted before its code is compared: until then it may still be correct
-- The name of an error in events, where it is not the stored one: `reported_error`.
local REPORTED_ERRORS = {recipient_throttled = 'throttled'}
local DELIVERY_CODES = {sent = 's', delivered = 'd', undelivered = 'f', failed = 'f'}

local function event_id(id, name)
  return 'evt_' .. id .. '-' .. name
end

-- Adds an event of a verification. `name` is unique in the verification, and begins with its code.
local function emit(record, id, name, facts, due_ms, now)
  if not has_targets(record[EVENTS]) then return end
  facts.purpose, facts.country = record[PURPOSE], record[COUNTRY]
  facts.channel = facts.channel or record[CHANNEL]
  local subject = {id, record[TENANT], record[KEY_ID], record[PHONE], record[EVENTS][2], record[RECIPIENT]}
  add_event(record[EVENTS], string.sub(name, 1, 1), event_id(id, name), subject, facts, due_ms, now)
end

-- Removes events of a verification that are not true any more, if they still wait.
local function withdraw_events(record, id, names)
  local targets = record[EVENTS]
  if not has_targets(targets) then return end
  for at = 3, #targets - 1, 2 do
    for _, name in ipairs(names) do
      if redis.call('ZREM', queue_key(targets[1], targets[at]), event_id(id, name)) == 1 then
        redis.call('DEL', event_key(targets[1], targets[at], event_id(id, name)))
        update_index(targets[1], targets[at])
      end
    end
  end
end

local function is_accepted_by_other(record, provider)
  for _, delivery in ipairs(record[DELIVERIES]) do
    if delivery[1] ~= provider and (delivery[2] == 'sent' or delivery[2] == 'delivered') then return true end
  end
  return false
end

-- A final receipt says that the gateway had accepted the message, also when it arrives before the response to the call.
local ACCEPTED = {sent = true, undelivered = true, delivered = true}

-- Adds the events of each delivery whose status has changed to one that has an event: the acceptance once, before
-- anything that follows from it. `retrying`: the message is due again. A failure at one provider has no event when
-- another one has accepted the message.
local function emit_delivery_events(record, id, before, retrying, now)
  if not before then return end
  for _, delivery in ipairs(record[DELIVERIES]) do
    local provider, status = delivery[1], delivery[2]
    local code, due_ms = DELIVERY_CODES[status], now
    local function emit_one(letter, facts, due)
      facts.provider = provider
      if (delivery[10] or '') ~= '' then facts.channel = delivery[10] end
      emit(record, id, string.format('%s-%s-%d', letter, provider, delivery[6]), facts, due, now)
    end
    if code ~= 's' and ACCEPTED[status] and not ACCEPTED[before[provider]] then
      emit_one('s', {status = 'sent'}, now)
      due_ms = now + 1  -- of one millisecond, a queue has its events by the alphabet
    end
    if code and before[provider] ~= status and not (code == 'f' and is_accepted_by_other(record, provider)) then
      local facts = {status = status}
      if code == 'f' then facts.error, facts.retrying = REPORTED_ERRORS[delivery[4]] or delivery[4], retrying end
      emit_one(code, facts, due_ms)
    end
  end
end
