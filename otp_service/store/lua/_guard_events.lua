-- The events of the guard's decisions, in the slot of the scope of all countries. Those with the same name are one event.
-- Names contain the minute, so a name is remembered longer than a request of that minute may take: finished events leave
-- the history sooner during an attack.
local GUARD_EVENTS_WAITING = 8192  -- of one endpoint: all events of the guard are in one slot
local NAME_KEPT_MS = 120000

-- `prefix`: the key prefix of the scope. `packed`: {targets, name, facts}; '': nobody gets the event.
local function emit_guard_event(prefix, packed, now)
  if packed == '' then return end
  local targets, name, facts = unpack(cmsgpack.unpack(packed))
  if redis.call('SET', prefix .. 'x:' .. name, '', 'NX', 'PX', NAME_KEPT_MS) then
    add_operator_event(targets, 'g', name, facts, now, GUARD_EVENTS_WAITING)
  end
end
