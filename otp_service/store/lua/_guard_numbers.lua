-- A log of different numbers in a window: eight bytes each, the tag of a number and when it was requested last in
-- seconds. The youngest is at the end.
local NUMBER_BYTES, TAG_BYTES = 8, 4

-- Returns the log with a number added, how many numbers there are with it, and whether it was added as a new one. A log
-- with `max` numbers gets no other one before one of them is older than the window, so that a number which is counted
-- and then released never makes room for more.
local function add_number(log, tag, now_s, window_s, max)
  local kept, is_new = {}, true
  for at = 1, #log - NUMBER_BYTES + 1, NUMBER_BYTES do
    local entry = string.sub(log, at, at + NUMBER_BYTES - 1)
    if struct.unpack('>I4', entry, TAG_BYTES + 1) > now_s - window_s then
      if string.sub(entry, 1, TAG_BYTES) == tag then is_new = false else kept[#kept + 1] = entry end
    end
  end
  if is_new and #kept >= max then return table.concat(kept), #kept + 1, false end
  kept[#kept + 1] = tag .. struct.pack('>I4', now_s)
  return table.concat(kept), #kept, is_new
end

local function remove_number(log, tag)
  for at = 1, #log - NUMBER_BYTES + 1, NUMBER_BYTES do
    if string.sub(log, at, at + TAG_BYTES - 1) == tag then
      return string.sub(log, 1, at - 1) .. string.sub(log, at + NUMBER_BYTES)
    end
  end
  return log
end

-- The key of the numbers of blocks of one hour: a hash of logs by class and block. The log of an hour begins with that
-- of the hour before.
local function numbers_key(prefix, hour)
  return prefix .. 'q' .. string.format('%d', hour)
end

-- Removes a number from the log of its block.
local function forget_number(prefix, hour, field, tag)
  local key = numbers_key(prefix, hour)
  local log = redis.pcall('HGET', key, field)
  if type(log) ~= 'string' then return end
  local left = remove_number(log, tag)
  if left == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, left) end
end
