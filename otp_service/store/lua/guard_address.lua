-- guard_address: adds or removes a number in the log of those that a client address requested without verifying a code.
-- KEYS  1 log of the address
-- ARGV  1 'add' | 'remove'  2 tag of the number (4 bytes)
--       3 with 'add': window, s  4 with 'add': how many numbers are kept
--       3 with 'remove': the time of the request to remove, ms; '': all requests for the number
-- returns {'added', different numbers, when it was added, ms; 0: it was not} or {'removed'}
-- Invariant: of N parallel calls with different numbers, each gets another count, up to the number that is kept. Of N
--            calls with one number, the number stays until all of them are removed.
--@include _clock _ttl _guard_numbers
local now = now_ms()
local key, tag = KEYS[1], ARGV[2]
if redis.call('TYPE', key).ok ~= 'string' then redis.call('DEL', key) end
local log = redis.call('GET', key) or ''
if ARGV[1] == 'remove' then
  local left = remove_number(log, tag, ARGV[3] ~= '' and math.floor(tonumber(ARGV[3]) / 1000) or nil)
  if left == '' then redis.call('DEL', key) elseif left ~= log then redis.call('SET', key, left, 'KEEPTTL') end
  return {'removed'}
end
local window_s = tonumber(ARGV[3])
local added, numbers, is_added = add_number(log, tag, math.floor(now / 1000), window_s, tonumber(ARGV[4]))
redis.call('SET', key, added, 'PX', string.format('%d', window_s * 1000 + 1000))
return {'added', numbers, is_added and now or 0}
