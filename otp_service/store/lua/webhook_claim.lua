-- webhook_claim: leases due events of one endpoint in a slot.
-- KEYS  1 index of the slot
-- ARGV  1 endpoint  2 maximum number of events  3 lease, ms
-- Reaches by template: the queue and the events of the endpoint, in the slot of KEYS.
-- returns {id, event}...
-- Invariant: only the last one who claimed an event sends it; its lease number identifies it. An event that is gone or
--            cannot be read leaves the queue, counts as dropped, and does not stop the others.
--@include _clock _ttl _events
local now = now_ms()
local endpoint, queue = ARGV[1], queue_key(KEYS[1], ARGV[1])
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local key = event_key(KEYS[1], endpoint, id)
  local event = read_event(key)
  if event then
    event[EVENT_LEASE] = event[EVENT_LEASE] + 1
    redis.call('SET', key, cmsgpack.pack(event), 'KEEPTTL')
    redis.call('ZADD', queue, string.format('%.0f', now + tonumber(ARGV[3])), id)
    claimed[#claimed + 1] = {id, cmsgpack.pack(event)}
  else
    redis.call('ZREM', queue, id)
    redis.call('DEL', key)
    count_dropped(KEYS[1], endpoint, now)
  end
end
update_index(KEYS[1], endpoint)
return claimed
