-- webhook_forget: removes a recipient from the events of an endpoint in a slot.
-- KEYS  1 index of the slot
-- ARGV  1 endpoint  2 keyed hash of the recipient  3 tenant, '' for any
-- Reaches by template: the queue, the history and the events of the endpoint, in the slot of KEYS.
-- returns {number of events}
-- Invariant: an event keeps its id, its facts and its place in the schedule. The sealed recipient, the sealed reference
--            and the keyed hash are gone. Events of others are not changed.
--@include _ttl _events
local endpoint, recipient, forgotten = ARGV[1], ARGV[2], 0
for _, ids in ipairs({queue_key(KEYS[1], endpoint), history_key(KEYS[1], endpoint)}) do
  for _, id in ipairs(redis.call('ZRANGE', ids, 0, -1)) do
    local key = event_key(KEYS[1], endpoint, id)
    local event = read_event(key)
    if event and event[EVENT_RECIPIENT] == recipient and (ARGV[3] == '' or event[EVENT_TENANT] == ARGV[3]) then
      event[EVENT_SEALED], event[EVENT_REFERENCE], event[EVENT_RECIPIENT] = '', '', ''
      redis.call('SET', key, cmsgpack.pack(event), 'KEEPTTL')
      forgotten = forgotten + 1
    end
  end
end
return {forgotten}
