-- scan_names: reads one step of the names of the keys on this server that match a pattern.
-- KEYS  1 a key in a slot of the server
-- ARGV  1 cursor, '0' to begin  2 pattern  3 about how many names to look at
-- returns {next cursor, '0' at the end, name...}
-- Invariant: nothing is written, and no value is read.
local reply = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
return {reply[1], unpack(reply[2])}
