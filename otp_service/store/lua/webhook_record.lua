-- webhook_record: records the end of an attempt to deliver an event.
-- KEYS  1 index of the slot
-- ARGV  1 endpoint  2 id of the event  3 lease  4 result  5 'delivered' | 'failed' | 'waiting'
--       6 with 'waiting': ms until it is due again  7 number of finished events that are kept
-- Reaches by template: the queue, the history and the event, in the slot of KEYS.
-- returns {'recorded'}, also when this call is repeated because its reply was lost
--         {'late'}: another replica has leased it, or it is finished; nothing is changed
--         {'gone'}
-- Invariant: an attempt counts once: its lease identifies it. An accepted event is not sent again, whoever has its
--            lease. A finished event stays in a history of bounded length, and what falls out of it is deleted.
--@include _clock _ttl _events
local now = now_ms()
local endpoint, id, state = ARGV[1], ARGV[2], ARGV[5]
local queue, history, key = queue_key(KEYS[1], ARGV[1]), history_key(KEYS[1], ARGV[1]), event_key(KEYS[1], ARGV[1], id)
local event = read_event(key)
if not event then
  redis.call('ZREM', queue, id)
  update_index(KEYS[1], endpoint)
  return {'gone'}
end
if event[EVENT_RECORDED] == tonumber(ARGV[3]) then return {'recorded'} end
if event[EVENT_STATE] ~= 'waiting' then return {'late'} end
if event[EVENT_LEASE] ~= tonumber(ARGV[3]) and state ~= 'delivered' then return {'late'} end

event[EVENT_ATTEMPTS], event[EVENT_RESULT], event[EVENT_RESULT_AT] = event[EVENT_ATTEMPTS] + 1, ARGV[4], now
event[EVENT_STATE], event[EVENT_RECORDED] = state, tonumber(ARGV[3])
redis.call('SET', key, cmsgpack.pack(event), 'KEEPTTL')
if state == 'waiting' then
  schedule_event(KEYS[1], endpoint, id, now + tonumber(ARGV[6]), now)
  return {'recorded'}
end
redis.call('ZREM', queue, id)
update_index(KEYS[1], endpoint)
redis.call('ZADD', history, string.format('%.0f', now), id)
extend_ttl(history, now + EVENT_TTL_MS, now)
local endpoints = KEYS[1] .. '/'
redis.call('ZREMRANGEBYSCORE', endpoints, '-inf', string.format('%.0f', now))
redis.call('ZADD', endpoints, string.format('%.0f', now + EVENT_TTL_MS), endpoint)
extend_ttl(endpoints, now + EVENT_TTL_MS, now)
local excess = redis.call('ZCARD', history) - tonumber(ARGV[7])
if excess > 0 then
  for _, old in ipairs(redis.call('ZRANGE', history, 0, excess - 1)) do
    redis.call('DEL', event_key(KEYS[1], endpoint, old))
    redis.call('ZREM', history, old)
  end
end
return {'recorded'}
