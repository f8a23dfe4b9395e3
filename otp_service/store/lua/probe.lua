-- probe: whether this server takes writes, and what it does when its memory is full.
-- KEYS  1 a key in a slot of the server
-- returns {maxmemory-policy, '' when the server does not say}, or the error by which it refuses a write
-- Invariant: nothing is written. To write no bytes is a write that the server judges like any other (read-only, memory,
--            replicas, disk), and makes no key.
local written = redis.pcall('SETRANGE', KEYS[1], 0, '')
if type(written) == 'table' and written.err then return written end
local memory = redis.pcall('INFO', 'memory')
return {type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''}
