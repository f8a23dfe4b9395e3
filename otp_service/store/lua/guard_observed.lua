-- guard_observed: adds the event of a decision that denied nothing.
-- KEYS  1 index of the events of the guard
-- ARGV  1 key prefix of the scope of all countries  2 event (packed)
-- Reaches by template: the names, the queues and the events of the guard, in the slot of KEYS.
-- returns {'added'}
-- Invariant: an event is added once, however many calls name it.
--@include _clock _ttl _events _guard_events
emit_guard_event(ARGV[1], ARGV[2], now_ms())
return {'added'}
