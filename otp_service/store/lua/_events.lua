-- Events that wait to be delivered by webhooks. All keys are in the slot of the state that has changed:
--   <index>                    sorted set: the endpoints that have events, by when the earliest is due
--   <index>:<endpoint>         sorted set, the queue: the ids of the waiting events, by when each is due
--   <index>:<endpoint>:<id>    an event, one packed array
--   <index>/                   sorted set: the endpoints that have a history, by when it ends at the latest
--   <index>:<endpoint>/        sorted set, the history: the ids of finished events, by when they ended
--   <index>!                   hash: how many events of each endpoint were dropped
-- Who gets events is a list of texts, as a record contains it: the key of the index, the sealed reference, and for each
-- endpoint its name and the letters of the types that it gets. An empty list: nobody.
local EVENT_TTL_MS = 302400000  -- 84 hours: longer than the schedule of attempts
local MAX_WAITING = 512  -- of one endpoint in one slot, by default; what comes later is dropped, and counted
local EVENT_VERSION = 1
-- The positions in an event; domain/events.py has all of them.
local EVENT_LEASE, EVENT_ATTEMPTS, EVENT_RESULT, EVENT_RESULT_AT, EVENT_STATE = 5, 6, 7, 8, 9
local EVENT_TENANT, EVENT_SEALED, EVENT_REFERENCE, EVENT_RECORDED, EVENT_RECIPIENT = 10, 12, 13, 15, 16

local function has_targets(targets)
  if type(targets) ~= 'table' or #targets < 4 then return false end
  for _, text in ipairs(targets) do
    if type(text) ~= 'string' then return false end
  end
  return true
end

local function queue_key(index, endpoint)
  return index .. ':' .. endpoint
end

local function event_key(index, endpoint, id)
  return queue_key(index, endpoint) .. ':' .. id
end

local function history_key(index, endpoint)
  return queue_key(index, endpoint) .. '/'
end

-- Returns an event, or nil when it is gone or cannot be read.
local function read_event(key)
  local packed = redis.pcall('GET', key)
  if type(packed) ~= 'string' then return nil end
  local unpacked, event = pcall(cmsgpack.unpack, packed)
  if not unpacked or type(event) ~= 'table' or event[1] ~= EVENT_VERSION then return nil end
  if type(event[EVENT_LEASE]) ~= 'number' or type(event[EVENT_ATTEMPTS]) ~= 'number' then return nil end
  return event
end

-- Makes an event due, and the index of its slot say so.
local function schedule_event(index, endpoint, id, due_ms, now)
  local queue = queue_key(index, endpoint)
  redis.call('ZADD', queue, string.format('%.0f', due_ms), id)
  local earliest = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', index, earliest, endpoint)
  extend_ttl(queue, now + EVENT_TTL_MS, now)
  extend_ttl(index, now + EVENT_TTL_MS, now)
end

-- Makes the index say when the earliest event of an endpoint is due, after events have left its queue.
local function update_index(index, endpoint)
  local earliest = redis.call('ZRANGE', queue_key(index, endpoint), 0, 0, 'WITHSCORES')[2]
  if earliest then
    redis.call('ZADD', index, 'XX', earliest, endpoint)
  else
    redis.call('ZREM', index, endpoint)
  end
end

local function count_dropped(index, endpoint, now)
  redis.call('HINCRBY', index .. '!', endpoint, 1)
  extend_ttl(index .. '!', now + EVENT_TTL_MS, now)
end

-- Adds an event for each target that gets its type. One whose id is stored already is not added again. `subject`:
-- {verification id, tenant, key id, sealed recipient, sealed reference, keyed hash of the recipient}.
-- `max_waiting`: nil for the default.
local function add_event(targets, code, id, subject, facts, due_ms, now, max_waiting)
  local index = targets[1]
  for at = 3, #targets - 1, 2 do
    local endpoint = targets[at]
    local key = event_key(index, endpoint, id)
    if string.find(targets[at + 1], code, 1, true) and redis.call('EXISTS', key) == 0 then
      if redis.call('ZCARD', queue_key(index, endpoint)) >= (max_waiting or MAX_WAITING) then
        count_dropped(index, endpoint, now)
      else
        local event = {
          EVENT_VERSION, code, now, subject[1], 0, 0, '', 0, 'waiting', subject[2], subject[3], subject[4], subject[5],
          facts, 0, subject[6],
        }
        redis.call('SET', key, cmsgpack.pack(event), 'PX', EVENT_TTL_MS)
        schedule_event(index, endpoint, id, due_ms, now)
      end
    end
  end
end

-- Adds an event of the operator for a list of targets.
local function add_operator_event(targets, code, name, facts, now, max_waiting)
  if not has_targets(targets) then return end
  add_event(targets, code, string.format('evt_%s-%s', code, name), {'', '', '', '', '', ''}, facts, now, now, max_waiting)
end

-- Adds an event of the operator. `packed`: the targets; nil: nobody gets it.
local function emit_operator_event(packed, code, name, facts, now)
  if packed then add_operator_event(cmsgpack.unpack(packed), code, name, facts, now) end
end
