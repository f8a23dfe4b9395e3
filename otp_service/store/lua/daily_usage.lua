-- daily_usage: checks whether one more message at each of some prices would exceed a cap.
-- KEYS  1 daily usage of a tenant or a country
-- ARGV  1 message cap, '' for none  2 spend cap in millionths, '' for none  3 '1': the caps block
--       4... prices in millionths
-- returns {ms until tomorrow, ms after which to ask again because the last charge may be refunded (0: it is final),
--          for each price '1' if it would exceed a blocking cap, or ''}
-- Invariant: nothing is counted.
--@include _clock _ttl _daily_usage
local now = now_ms()
local usage = usage_today(KEYS[1], now)
local reply = {ms_until_tomorrow(now), usage.held_until > now and HELD_POLL_MS or 0}
for at = 4, #ARGV do
  local is_blocked = ARGV[3] == '1' and exceeds_cap(usage, tonumber(ARGV[at]), ARGV[1], ARGV[2])
  reply[#reply + 1] = is_blocked and '1' or ''
end
return reply
