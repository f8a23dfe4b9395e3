-- emit_event: adds an event that no other script emits.
-- KEYS  1 index of the slot
-- ARGV  1 targets (packed)  2 letter of its type  3 id without its prefix  4 facts (packed)
-- Reaches by template: the queues and the events of the targets, in the slot of KEYS.
-- returns {'added'}
-- Invariant: an id is stored once for each endpoint.
--@include _clock _ttl _events
local now = now_ms()
emit_operator_event(ARGV[1], ARGV[2], ARGV[3], cmsgpack.unpack(ARGV[4]), now)
return {'added'}
