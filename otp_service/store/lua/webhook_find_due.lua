-- webhook_find_due: counts the events of a slot that are due, by endpoint.
-- KEYS  1 index of the slot
-- Reaches by template: the queues of the index's endpoints, in the slot of KEYS.
-- returns {endpoint, events that are due, events that wait, events that were dropped since the last call}...
-- Invariant: each dropped event is reported once. An event that was never called and has expired
--            counts as dropped. An endpoint whose queue is gone leaves the index.
if redis.call('EXISTS', KEYS[1], KEYS[1] .. '!') == 0 then return {} end  -- nearly always
--@include _clock _ttl _events
local now = now_ms()
local dropped, found = {}, {}
local counts = redis.call('HGETALL', KEYS[1] .. '!')
for at = 1, #counts, 2 do dropped[counts[at]] = tonumber(counts[at + 1]) end
if counts[1] then redis.call('DEL', KEYS[1] .. '!') end
for _, endpoint in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local queue = queue_key(KEYS[1], endpoint)
  local expired = redis.call('ZREMRANGEBYSCORE', queue, '-inf', string.format('%.0f', now - EVENT_TTL_MS))
  dropped[endpoint] = (dropped[endpoint] or 0) + expired
  local waiting = redis.call('ZCARD', queue)
  if waiting == 0 then redis.call('ZREM', KEYS[1], endpoint) end
  if waiting > 0 or dropped[endpoint] > 0 then
    found[#found + 1] = {endpoint, redis.call('ZCOUNT', queue, '-inf', now), waiting, dropped[endpoint]}
  end
  dropped[endpoint] = nil
end
for endpoint, count in pairs(dropped) do found[#found + 1] = {endpoint, 0, 0, count} end
return found
