-- webhook_list: reads the last events of an endpoint in a slot: the finished ones, and those that wait.
-- KEYS  1 index of the slot
-- ARGV  1 endpoint  2 maximum number of events of each kind
-- Reaches by template: the queue, the history and the events of the endpoint, in the slot of KEYS.
-- returns {events that wait, {id, event}...}
-- Invariant: nothing is changed.
--@include _ttl _events
local endpoint, last = ARGV[1], tonumber(ARGV[2]) - 1
local reply = {redis.call('ZCARD', queue_key(KEYS[1], endpoint))}
for _, key in ipairs({history_key(KEYS[1], endpoint), queue_key(KEYS[1], endpoint)}) do
  for _, id in ipairs(redis.call('ZREVRANGE', key, 0, last)) do
    local event = read_event(event_key(KEYS[1], endpoint, id))
    if event then reply[#reply + 1] = {id, cmsgpack.pack(event)} end
  end
end
return reply
