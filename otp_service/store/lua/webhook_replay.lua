-- webhook_replay: makes events of an endpoint in a slot due now, with the whole schedule of attempts.
-- KEYS  1 index of the slot
-- ARGV  1 endpoint  2 id of one event, '' for all that ended since a time  3 that time, ms
--       4 states of the events that are replayed, 'delivered failed' for example
-- Reaches by template: the queue, the history and the events of the endpoint, in the slot of KEYS.
-- returns {number of events}
-- Invariant: an event keeps its id. No more wait than may.
--@include _clock _ttl _events
local now = now_ms()
local endpoint = ARGV[1]
local queue, history = queue_key(KEYS[1], endpoint), history_key(KEYS[1], endpoint)
local ids = ARGV[2] ~= '' and {ARGV[2]} or redis.call('ZRANGEBYSCORE', history, ARGV[3], '+inf')
local replayed = 0
for _, id in ipairs(ids) do
  local key = event_key(KEYS[1], endpoint, id)
  local event = read_event(key)
  local is_wanted = event and string.find(ARGV[4], event[EVENT_STATE], 1, true)
  if is_wanted and (event[EVENT_STATE] == 'waiting' or redis.call('ZCARD', queue) < MAX_WAITING) then
    event[EVENT_ATTEMPTS], event[EVENT_STATE] = 0, 'waiting'
    redis.call('SET', key, cmsgpack.pack(event), 'PX', EVENT_TTL_MS)
    redis.call('ZREM', history, id)
    schedule_event(KEYS[1], endpoint, id, now, now)
    replayed = replayed + 1
  end
end
return {replayed}
