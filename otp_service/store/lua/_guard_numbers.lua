-- A log of different numbers in a window: eight bytes each, the tag of a number and when it was requested last in
-- seconds. The youngest is at the end.
local NUMBER_BYTES, TAG_BYTES = 8, 4

-- Returns the log with a number added, how many numbers it has, and whether the number is new in it. At most `max`
-- numbers are kept.
local function add_number(log, tag, now_s, window_s, max)
  local kept, is_new = {}, true
  for at = 1, #log - NUMBER_BYTES + 1, NUMBER_BYTES do
    local entry = string.sub(log, at, at + NUMBER_BYTES - 1)
    if struct.unpack('>I4', entry, TAG_BYTES + 1) > now_s - window_s then
      if string.sub(entry, 1, TAG_BYTES) == tag then is_new = false else kept[#kept + 1] = entry end
    end
  end
  while #kept >= max do table.remove(kept, 1) end
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
