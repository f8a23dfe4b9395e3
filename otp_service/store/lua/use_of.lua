-- use_of: reads whether a one-time value was used, and changes nothing.
-- KEYS  1 the value
-- ARGV  1 digest of what it would be used for
-- returns {'unused'}, {'same'}: it was used for the same, or {'other'}: it was used for something else
-- Invariant: writes nothing.
local used_for = redis.call('GET', KEYS[1])
if not used_for then return {'unused'} end
return {used_for == ARGV[1] and 'same' or 'other'}
