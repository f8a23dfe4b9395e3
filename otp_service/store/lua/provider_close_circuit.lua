-- provider_close_circuit: closes a circuit that is open for one reason, because the reason is gone. No probe is needed.
-- KEYS  1 circuit
-- ARGV  1 the reason: the outcome that opened it
-- returns {'closed'} or {'unchanged'}
-- Invariant: a circuit that is closed, or open for another reason, does not change.
--@include _clock _ttl _circuit
if redis.call('HGET', KEYS[1], 'why') ~= ARGV[1] then return {'unchanged'} end
close_circuit(KEYS[1])
return {'closed'}
