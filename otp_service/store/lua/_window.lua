-- Exact windows: "count/seconds" holds when the count-th youngest event is older than the window.
-- So one log of moments, as long as the largest count, serves every window of a subject.

-- "5 3600000 10 86400000" -> {{count = 5, span = 3600000}, ...}, the largest count, the longest span
local function windows_of(text)
  local windows, most, longest = {}, 0, 0
  for count, span in string.gmatch(text, '(%d+) (%d+)') do
    count, span = tonumber(count), tonumber(span)
    windows[#windows + 1] = {count = count, span = span}
    most = math.max(most, count)
    longest = math.max(longest, span)
  end
  return windows, most, longest
end

-- How long until one more event fits into every window; 0: now. `moment(n)` is the n-th youngest event or nil.
local function wait_for(windows, now, moment)
  local wait = 0
  for _, window in ipairs(windows) do
    local at = moment(window.count)
    if at then
      -- A moment that has not come yet was damaged: it counts as one of now, so that it blocks for a span at most.
      wait = math.max(wait, math.min(at, now) + window.span - now)
    end
  end
  return wait
end

-- A log inside a hash field: six bytes a moment, oldest first.
local function log_moment(log)
  return function(n)
    local from = #log - n * 6
    if from < 0 then return nil end
    return (struct.unpack('>I6', log, from + 1))
  end
end

local function log_append(log, now, most)
  local kept = math.max(0, #log - (most - 1) * 6)
  return string.sub(log, kept + 1) .. struct.pack('>I6', now)
end

-- Takes one event of that moment out again, wherever it stands by now.
local function log_remove(log, moment)
  local packed = struct.pack('>I6', moment)
  for at = #log - 5, 1, -6 do
    if string.sub(log, at, at + 5) == packed then
      return string.sub(log, 1, at - 1) .. string.sub(log, at + 6)
    end
  end
  return log
end
