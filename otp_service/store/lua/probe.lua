-- probe: checks that this server accepts writes, and reads its eviction policy.
-- KEYS  1 a key in a slot of the server
-- returns {maxmemory-policy, '' when the server does not report it}, or the error with which it refuses a write
-- Invariant: nothing is written. The server checks a write of zero bytes like any other (read-only, memory, replicas,
--            disk), but it creates no key.
local written = redis.pcall('SETRANGE', KEYS[1], 0, '')
if type(written) == 'table' and written.err then return written end
local memory = redis.pcall('INFO', 'memory')
return {type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''}
