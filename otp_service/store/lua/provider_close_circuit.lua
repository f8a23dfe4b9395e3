-- gateway_close: closes a circuit that is open for one reason, because that reason is gone: no call has to try it.
-- KEYS  1 the circuit
-- ARGV  1 why it has to be open
-- returns {'closed'} or {'left'}
-- Invariant: a circuit that is open for another reason, or closed, stays as it is.
--@include _clock _ttl _circuit
if redis.call('HGET', KEYS[1], 'why') ~= ARGV[1] then return {'left'} end
circuit_close(KEYS[1])
return {'closed'}
