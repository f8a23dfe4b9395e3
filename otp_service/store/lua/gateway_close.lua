-- gateway_close: closes a circuit that was opened for want of money, because a balance check found some.
-- KEYS  1 the circuit   ARGV  1 why it must have been opened
-- returns {'closed'} or {'kept'}
--@include _clock _circuit
if redis.call('HGET', KEYS[1], 'why') ~= ARGV[1] then return {'kept'} end
circuit_close(KEYS[1])
return {'closed'}
