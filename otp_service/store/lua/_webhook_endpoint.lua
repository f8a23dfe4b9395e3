-- The state of an endpoint, for all replicas: a hash with the fields
--   disabled   when it answered 410, ms     failures   failed attempts in a row
--   paused     until when it is not called, ms     result, at   the last result, and when it came, ms
local ENDPOINT_TTL_MS = 604800000  -- a week after the last attempt
local DISABLED_TTL_MS = 400 * 86400000
