-- guard_address: adds or removes a number in the log of those that a client address requested without verifying a code.
-- KEYS  1 log of the address
-- ARGV  1 'add' | 'remove'  2 tag of the number (4 bytes)  3 window, s  4 how many numbers are kept
-- returns {'added', different numbers, 1 if this one is new} or {'removed'}
-- Invariant: of N parallel calls with different numbers, each gets another count, up to the number that is kept.
--@include _clock _ttl _guard_numbers
local now = now_ms()
local key, tag = KEYS[1], ARGV[2]
if redis.call('TYPE', key).ok ~= 'string' then redis.call('DEL', key) end
local log = redis.call('GET', key) or ''
if ARGV[1] == 'remove' then
  local left = remove_number(log, tag)
  if left == '' then redis.call('DEL', key) elseif left ~= log then redis.call('SET', key, left, 'KEEPTTL') end
  return {'removed'}
end
local window_s = tonumber(ARGV[3])
local added, numbers, is_new = add_number(log, tag, math.floor(now / 1000), window_s, tonumber(ARGV[4]))
redis.call('SET', key, added, 'PX', string.format('%d', window_s * 1000 + 1000))
return {'added', numbers, is_new and 1 or 0}
