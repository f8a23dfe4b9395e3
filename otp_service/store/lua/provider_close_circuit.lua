-- provider_close_circuit: closes a circuit that is open for one reason, because the reason is gone. No probe is needed.
-- KEYS  1 circuit
-- ARGV  1 the reason: the outcome that opened it  where the operator gets events: 2 targets (packed)  3 provider
-- Reaches by template: the events whose index the targets name, in the slot of KEYS.
-- returns {'closed'} or {'unchanged'}
-- Invariant: a circuit that is closed, or open for another reason, does not change.
--@include _clock _ttl _circuit _events _circuit_events
if redis.call('HGET', KEYS[1], 'why') ~= ARGV[1] then return {'unchanged'} end
close_circuit(KEYS[1])
emit_circuit_event(ARGV[2], ARGV[3], '', KEYS[1], 'open', 'closed', now_ms())
return {'closed'}
