-- A log of the requests for different numbers in a window: eight bytes each, the tag of a number and when it was requested
-- in seconds. Requests for one number may be in progress at once, and each may be released: each has an entry of its own,
-- so that the number stays while one of them is not released. Of older requests, only the last one is kept.
local NUMBER_BYTES, TAG_BYTES = 8, 4
local IN_PROGRESS_S = 60  -- a request is started or released long before
local MAX_IN_PROGRESS = 256  -- requests for one number

-- Returns the log with a request added, how many numbers there are with it, and whether it was added. A log with `max`
-- numbers gets no other one before one of them is older than the window, so that a number which is counted and then
-- released never makes room for more.
local function add_number(log, tag, now_s, window_s, max)
  local kept, own, last, tags, others = {}, {}, nil, {}, 0
  for at = 1, #log - NUMBER_BYTES + 1, NUMBER_BYTES do
    local entry = string.sub(log, at, at + NUMBER_BYTES - 1)
    local number, at_s = string.sub(entry, 1, TAG_BYTES), struct.unpack('>I4', entry, TAG_BYTES + 1)
    if at_s > now_s then  -- the clock went back, as after a failover: count from now on
      at_s, entry = now_s, number .. struct.pack('>I4', now_s)
    end
    if at_s > now_s - window_s then
      if number ~= tag then
        kept[#kept + 1] = entry
        if not tags[number] then tags[number], others = true, others + 1 end
      elseif at_s > now_s - IN_PROGRESS_S then
        own[#own + 1] = entry
      else
        last = entry
      end
    end
  end
  local has_room = #own < MAX_IN_PROGRESS and (last or #own > 0 or others < max)
  if has_room then own[#own + 1] = tag .. struct.pack('>I4', now_s) end
  return table.concat(kept) .. (last or '') .. table.concat(own), others + 1, has_room and true or false
end

-- Returns the log without the request for a number at a time; nil: without all requests for it.
local function remove_number(log, tag, at_s)
  local removed, kept = at_s and tag .. struct.pack('>I4', at_s), {}
  for at = 1, #log - NUMBER_BYTES + 1, NUMBER_BYTES do
    local entry = string.sub(log, at, at + NUMBER_BYTES - 1)
    if entry == removed then
      removed = ''  -- another request of the same second stays
    elseif at_s or string.sub(entry, 1, TAG_BYTES) ~= tag then
      kept[#kept + 1] = entry
    end
  end
  return table.concat(kept)
end

-- The key of the numbers of blocks of one hour: a hash of logs by class and block. The log of an hour begins with that
-- of the hour before.
local function numbers_key(prefix, hour)
  return prefix .. 'q' .. string.format('%d', hour)
end

-- Removes a number, or its request of a time, from the logs of its block since an hour. An empty log is kept beside one of
-- the hour before, because the next request would begin with that one.
local function forget_number(prefix, first_hour, last_hour, field, tag, at_s)
  for hour = first_hour, last_hour do
    local key = numbers_key(prefix, hour)
    local log = redis.pcall('HGET', key, field)
    if type(log) == 'string' then
      local left = remove_number(log, tag, at_s)
      if left == '' and redis.pcall('HEXISTS', numbers_key(prefix, hour - 1), field) ~= 1 then
        redis.call('HDEL', key, field)
      else
        redis.call('HSET', key, field, left)
      end
    end
  end
end
