-- Exact sliding windows. "count/seconds" allows one more event when the count-th youngest event is older than the
-- window. One log of times, as long as the largest count, serves all windows of a limit.

-- Parses "5 3600000 10 86400000" to {{count = 5, span_ms = 3600000}, ...}. Also returns the largest count and the
-- longest span.
local function parse_windows(text)
  local windows, max_count, longest_ms = {}, 0, 0
  for count, span_ms in string.gmatch(text, '(%d+) (%d+)') do
    count, span_ms = tonumber(count), tonumber(span_ms)
    windows[#windows + 1] = {count = count, span_ms = span_ms}
    max_count = math.max(max_count, count)
    longest_ms = math.max(longest_ms, span_ms)
  end
  return windows, max_count, longest_ms
end

-- Returns the ms until one more event fits into every window; 0: now. `nth_youngest(n)` returns the time of the n-th
-- youngest event, or nil.
local function wait_ms_for(windows, now, nth_youngest)
  local wait_ms = 0
  for _, window in ipairs(windows) do
    local at = nth_youngest(window.count)
    if at then
      -- A time in the future is damaged. It counts as now, so it blocks for one span at most.
      wait_ms = math.max(wait_ms, math.min(at, now) + window.span_ms - now)
    end
  end
  return wait_ms
end

-- A log in a hash field: six bytes (a big-endian number of ms) per event, oldest first.
local LOG_ENTRY_BYTES = 6

local function log_reader(log)
  return function(n)
    local from = #log - n * LOG_ENTRY_BYTES
    if from < 0 then return nil end
    return (struct.unpack('>I6', log, from + 1))
  end
end

local function log_append(log, now, max_count)
  local dropped = math.max(0, #log - (max_count - 1) * LOG_ENTRY_BYTES)
  return string.sub(log, dropped + 1) .. struct.pack('>I6', now)
end

-- Removes one event of that time, wherever it is in the log.
local function log_remove(log, at_ms)
  local packed = struct.pack('>I6', at_ms)
  for at = #log - LOG_ENTRY_BYTES + 1, 1, -LOG_ENTRY_BYTES do
    if string.sub(log, at, at + LOG_ENTRY_BYTES - 1) == packed then
      return string.sub(log, 1, at - 1) .. string.sub(log, at + LOG_ENTRY_BYTES)
    end
  end
  return log
end
