-- emit_event: adds an event that no other script emits.
-- KEYS  1 index of the slot
-- ARGV  1 targets (packed)  2 letter of its type  3 id  4 tenant, '' for none  5 facts (packed)
-- Reaches by template: the queues and the events of the targets, in the slot of KEYS.
-- returns {'added'}
-- Invariant: an id is stored once for each endpoint.
--@include _clock _ttl _events
local now = now_ms()
local targets = cmsgpack.unpack(ARGV[1])
if has_targets(targets) then
  add_event(targets, ARGV[2], ARGV[3], {'', ARGV[4], '', '', ''}, cmsgpack.unpack(ARGV[5]), now, now)
end
return {'added'}
